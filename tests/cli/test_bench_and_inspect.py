from pathlib import Path

import pytest

from bittern.runtime import isa, load
from cli.invoke import bittern


def test_bench_tells_latency_and_where_it_goes(model: Path) -> None:
    outcome = bittern("bench", model, "--rounds", "3")
    assert outcome.code == 0
    assert all(word in outcome.out for word in ("latency", "images/s", isa(), "blocks.0.conv", "XNNPACK"))


def test_bench_json(model: Path) -> None:
    result = bittern("bench", model, "--rounds", "3", "--threads", "2", "--json").json
    assert result["latency_seconds"] > 0
    assert result["images_per_second"] == pytest.approx(1 / result["latency_seconds"])
    assert result["isa"] == isa()
    assert result["threads"] == 2
    assert result["machine"]["cores"] >= 1
    assert sum(row["share"] for row in result["operators"]) == pytest.approx(1)
    paths = [row["path"] for row in result["operators"] if row["path"]]
    assert paths == [operator.path for operator in load(model).metadata.operators]


def test_inspect_of_a_file(model: Path) -> None:
    outcome = bittern("inspect", model)
    assert outcome.code == 0
    assert all(word in outcome.out for word in ("digits-resnet", "1 x 1 x 8 x 8", "conv2d", "ExecuTorch"))
    result = bittern("inspect", model, "--json").json
    assert result["size"] == model.stat().st_size
    assert result["metadata"]["operators"][0]["path"] == "blocks.0.sign"


def test_inspect_of_a_run(trained: Path) -> None:
    outcome = bittern("inspect", trained)
    assert outcome.code == 0
    assert all(word in outcome.out for word in ("digits", "blocks.1.conv", "1-bit", "of them binary"))
    result = bittern("inspect", trained, "--json").json
    assert result["recipe"] == "digits"
    assert result["summary"]["binary_macs"] > 0


def test_inspect_of_a_model_by_name() -> None:
    outcome = bittern("inspect", "digits-resnet")
    assert outcome.code == 0
    assert "98.71 % of them binary" in outcome.out
    result = bittern("inspect", "digits-resnet", "--json").json
    assert result["summary"]["input_shape"] == [1, 8, 8]


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("digits-resnt", "did you mean 'digits-resnet'?"),
        ("/no/such/thing", "/no/such/thing: No such file"),
        ("nothing.pte", "nothing.pte: No such file"),
    ],
)
def test_what_cannot_be_inspected_is_code_2(what: str, message: str) -> None:
    outcome = bittern("inspect", what)
    assert outcome.code == 2
    assert message in outcome.error


def test_what_cannot_be_timed_is_code_2(trained: Path) -> None:
    outcome = bittern("bench", trained / "model.json")
    assert outcome.code == 2
    assert "is not a model file" in outcome.error
