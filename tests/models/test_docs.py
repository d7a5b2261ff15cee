"""docs/models.md lists every architecture with its facts, and its examples run."""

from pathlib import Path
from typing import Any

import pytest
import torch

from bittern.models import ModelInfo, get_model, registry
from doc_examples import examples
from models.small import MODELS

PAGE = Path(__file__).parent.parent.parent / "docs" / "models.md"


def row(info: ModelInfo) -> str:
    """The line of the page's table."""
    facts = info.facts
    assert facts is not None
    paper = info.source.partition("arXiv:")[2][:10]
    top1 = "" if facts.top1 is None else f"{facts.top1:g} % of {facts.top1_source}"
    shape = f"{info.in_channels} x {info.image_size} x {info.image_size}"
    parameters = f"{facts.parameters / 1e6:.2f} M | {facts.binary_parameters / 1e6:.2f} M"
    macs = f"{facts.binary_macs / 1e6:,.0f} M | {facts.float_macs / 1e6:,.1f} M"
    return f"| `{info.name}` | {paper} | {shape} | {top1} | {parameters} | {macs} |"


@pytest.mark.parametrize("name", MODELS)
def test_the_page_has_the_row_of_every_model(name: str) -> None:
    assert row(get_model(name)) in PAGE.read_text().splitlines()


def test_the_page_lists_no_model_that_is_not_there() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    assert [line.split("`")[1] for line in rows] == MODELS


def test_the_examples_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_MODELS", dict(registry._MODELS))
    build, register = examples("models.md")
    exec(build, {})
    names: dict[str, Any] = {}
    exec(register, names)
    assert names["net"](torch.zeros(2, 1, 8, 8)).shape == (2, 3)
