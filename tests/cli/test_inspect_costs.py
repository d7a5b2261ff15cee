"""What `bittern inspect` says of costs; tests/models has the numbers."""

from pathlib import Path

import pytest
from torch import nn

from bittern.export.latency import all_rates
from bittern.models import registry
from bittern.models.registry import register_model
from cli.invoke import bittern


def test_the_table_has_precisions_memory_and_time() -> None:
    outcome = bittern("inspect", "bi-real-net-18")
    assert outcome.code == 0
    for text in (
        "11,699,112 with BatchNorm's moving statistics",
        "2.08 MB with 8 bits for all that is not binary",
        "46.8 MB in float",
        "at most 4.01 MB at once, at stem.2",
        "one thread: ",
        "first layer: real-valued weights and input",
        "last layer: real-valued weights and input",
        "float on purpose",
    ):
        assert text in outcome.out, text
    assert f"predicted for {all_rates()[0].machine}" in outcome.out


def test_json_has_layers_and_the_prediction() -> None:
    result = bittern("inspect", "quicknet", "--json").json
    layer = next(layer for layer in result["summary"]["layers"] if layer["binary_macs"])
    assert (layer["input_bits"], layer["not_binary"]) == (1, None)
    assert layer["output_bytes"] == 4 * 64 * 56 * 56
    prediction = result["prediction"]
    assert prediction["seconds"] == pytest.approx(sum(each["seconds"] for each in prediction["operations"]))
    assert {"machine", "isa"} <= prediction.keys()


def test_a_run_has_costs_too(trained: Path) -> None:
    assert "predicted for" in bittern("inspect", trained).out
    assert bittern("inspect", trained, "--json").json["prediction"]["seconds"] > 0


def test_a_narrow_terminal_gets_the_columns_that_fit(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    outcome = bittern("inspect", trained)
    assert "blocks.0.activation  8x8x8" in outcome.out
    assert max(map(len, outcome.out.splitlines())) <= 60
    assert "a terminal of 100 columns shows" in outcome.err


def test_a_model_that_cannot_be_exported_is_told_why(monkeypatch: pytest.MonkeyPatch) -> None:
    class Needy(nn.Module):
        def forward(self, x: object) -> object:
            return x if x.sum() > 0 else -x  # type: ignore[attr-defined, operator]

    monkeypatch.setattr(registry, "_MODELS", dict(registry._MODELS))
    row = {"num_classes": 2, "in_channels": 1, "image_size": 4, "description": "needy", "source": "arXiv:0"}
    register_model("needy", **row)(lambda **_: nn.Sequential(nn.Linear(4, 4), Needy()))
    outcome = bittern("inspect", "needy")
    assert outcome.code == 2
    assert "1 (Needy) decides by values that it computes" in outcome.error
