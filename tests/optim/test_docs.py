"""docs/optimizers.md says what the registries say, and its example runs."""

import re
from dataclasses import MISSING, fields
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from bittern.nn import BinaryLinear
from bittern.optim import OPTIMIZERS, SCHEDULES

TEXT = (Path(__file__).parents[2] / "docs" / "optimizers.md").read_text()


def row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def test_the_table_has_every_optimizer() -> None:
    for name, info in OPTIMIZERS.items():
        cells = (f"`{name}`", info.cls.__name__, info.equation, str(info.state), info.use, info.source)
        assert row(*cells) in TEXT.splitlines()


def test_the_table_has_every_schedule() -> None:
    for name, cls in SCHEDULES.items():
        numbers = [f.name if f.default is MISSING else f"{f.name} = {f.default:g}" for f in fields(cls)]
        if name == "step":
            numbers = ["ratio = 0.1", "milestones = 0.5, 0.75"]
        assert row(f"`{name}`", cls.equation, ", ".join(numbers) or "none") in TEXT.splitlines()


def test_the_reconstruction_is_called_one() -> None:
    assert "## BAMSProd is a reconstruction" in TEXT
    assert "reconstruction" in (OPTIMIZERS["bamsprod"].cls.__doc__ or "").splitlines()[0]
    assert "reconstruction" in OPTIMIZERS["bamsprod"].source


def test_the_example_runs() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), BinaryLinear(8, 8), nn.Linear(8, 3))
    batches = [(torch.randn(5, 4), torch.randint(3, (5,))) for _ in range(3)]
    scope = {"model": model, "batches": batches, "loss": F.cross_entropy}
    exec(code, scope)
    assert model[1].weight.abs().eq(1).all()
    assert [g.get("lr", g.get("gamma")) for g in scope["optimizer"].param_groups] == pytest.approx([1e-6, 0.0])
