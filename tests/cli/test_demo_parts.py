"""The demo's parts, without training. `test_demo.py` runs all of it."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from bittern.cli._layers import LayerTime
from bittern.cli._machine import Machine
from bittern.cli.demo import units
from bittern.cli.demo.charts import accuracy_curves
from bittern.cli.demo.compare import load_digits
from bittern.cli.demo.folder import BINARY, REPORT, claim
from bittern.cli.demo.measure import measure
from bittern.cli.demo.result import DemoResult, Network, Unit
from bittern.cli.demo.steps import StepReporter, Steps
from bittern.cli.demo.summary import render
from bittern.export import LayerCheck, Verification
from bittern.runtime import isa
from bittern.train import load_run
from cli.invoke import bittern, bittern_process, without

CHECK = Verification(
    isa="portable",
    images=2,
    layers=(LayerCheck("blocks.0.conv", "conv2d_packed", "bits", values=640, model_differences=0),),
    predictions=(3, 5),
    model_predictions=(3, 5),
    logit_margin=0.0,
    largest_logit_difference=1e-6,
)
NETWORK = Network("digits", "digits.pte", 1000, 0.98, 0.98, 2, 1e-6, 2e-5, 0.01)
RESULT = DemoResult(
    seed=0,
    machine=Machine("CPU", 2, "Linux"),
    isa="portable",
    images=2,
    binary=NETWORK,
    twin=replace(NETWORK, recipe="digits-float", size=16000, latency=1e-4),
    verifications=[CHECK],
    accuracies=[0.98],
    units=[Unit("stem", "1 → 64, 8x8", 1e-6, 2e-6, 10.0, 20.0)],
    training={},
    seconds={"train": 3.0, "export": 4.0},
)


def test_a_new_folder_is_made(tmp_path: Path) -> None:
    claim(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


def test_an_earlier_demo_is_cleared_and_nothing_else(tmp_path: Path) -> None:
    claim(tmp_path)
    (tmp_path / BINARY).mkdir()
    (tmp_path / BINARY / "model.json").touch()
    (tmp_path / REPORT).touch()
    (tmp_path / "notes.txt").touch()
    claim(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir() if not path.name.startswith(".")) == ["notes.txt"]


def test_a_folder_of_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    outcome = bittern("demo", "--out", tmp_path)
    assert outcome.code == 2
    assert "holds files that are not an earlier demo's" in outcome.error
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    outcome = bittern("demo", "--out", tmp_path / "file")
    assert outcome.code == 2
    assert "is a file; name a folder" in outcome.error


@pytest.mark.parametrize(
    ("before", "variables", "message"),
    [
        (without("executorch"), {}, "pip install 'bittern[export]'"),
        (without("jinja2"), {}, "pip install 'bittern[train]'"),
        ("", {"BITTERN_ISA": "avx1024"}, "avx1024"),
    ],
)
def test_what_is_missing_is_told_before_training(
    before: str, variables: dict[str, str], message: str, tmp_path: Path
) -> None:
    outcome = bittern_process("demo", "--out", tmp_path / "demo", before=before, **variables)
    assert outcome.code == 2
    assert message in outcome.error


def test_a_good_result_has_no_problems() -> None:
    assert RESULT.problems == []
    assert RESULT.to_json()["passed"] is True
    assert RESULT.size_ratio == 16
    assert RESULT.speed_ratio == pytest.approx(5)
    assert RESULT.values_compared == 640
    assert RESULT.to_json()["seconds"]["total"] == 7


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"binary": replace(NETWORK, accuracy=0.9699)}, "96.99% of the test digits are right in the engine"),
        ({"binary": replace(NETWORK, pytorch_accuracy=0.5)}, "in PyTorch, expected at least 97%"),
        ({"verifications": [replace(CHECK, predictions=(3, 6))]}, "1 predictions differ"),
        (
            {"verifications": [replace(CHECK, layers=(replace(CHECK.layers[0], reference_differences=7),))]},
            "7 values differ from the reference (portable)",
        ),
        (
            {"verifications": [replace(CHECK, layers=(replace(CHECK.layers[0], margin=0.5),))]},
            "further than rounding explains (portable)",
        ),
    ],
)
def test_every_promise_that_is_broken_is_a_problem(change: dict[str, Any], problem: str) -> None:
    (found,) = replace(RESULT, **change).problems
    assert problem in found


@pytest.mark.parametrize(("latency", "words"), [(1e-4, "5.0 x faster"), (1e-5, "2.0 x slower")])
def test_the_table_says_which_network_is_faster(latency: float, words: str) -> None:
    console = Console(file=io.StringIO(), width=120)
    console.print(render(replace(RESULT, twin=replace(RESULT.twin, latency=latency))))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert words in text
    assert "0 of 640" in text


def test_steps_are_a_line_each_where_there_is_no_terminal() -> None:
    console = Console(file=io.StringIO(), width=40)
    steps = Steps(console)
    with steps.shown(), steps.step("train") as step:
        reporter = StepReporter(step)
        reporter.epoch({"stage": "step1", "epoch": 2, "test_accuracy": 0.5})
        reporter.step(3, 4, {"loss": 0.1, "accuracy": 0.9})
        assert step.note == "75%, step1 epoch 2, 50.00 % right"
        step.note = "done, and it took as long a note as does not fit into forty columns"
    (line,) = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert line.startswith("train: done")
    assert list(steps.seconds) == ["train"]


def test_steps_are_live_on_a_terminal() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    steps = Steps(console)
    with steps.shown(), steps.step("train") as step:
        step.note = "98 %"
    assert "✓" in console.file.getvalue()  # type: ignore[attr-defined]


def test_curves_stay_in_their_frame_and_mark_the_stages() -> None:
    rows = [
        {"stage": stage, "accuracy": 0.9 + i / 100, "test_accuracy": 0.95 if i % 2 else None}
        for i, stage in enumerate(["step1", "step1", "step2", "step2", "step2"])
    ]
    chart = accuracy_curves(rows, rows[:2])
    assert [mark.text for mark in chart.steps] == ["step1", "step2"]
    assert chart.steps[1].at == pytest.approx(37.5)  # half way between the second and the third of five epochs
    lines = {line.kind: line.points.split() for line in chart.lines}
    assert lines["training"][0] == "0.00,100.00"
    assert lines["training"][-1].startswith("100.00,")
    assert lines["test"] == ["25.00,50.00", "75.00,50.00"]


def test_the_stretches_make_up_the_network(trained: Path) -> None:
    run = load_run(trained)
    parts = units.stretches(run)
    assert list(parts) == ["stem", "blocks.0", "blocks.1", "head"]
    x = images = torch.randn(3, *run.info.input_shape)
    with torch.no_grad():
        for part in parts.values():
            assert part.input_shape == (1, *x.shape[1:])
            x = part.module(x)
        assert torch.equal(x, run.model(images))


def test_time_and_size_of_every_stretch(trained: Path, model: Path) -> None:
    from bittern.export import to_pte

    run = load_run(trained)
    explanation = to_pte(run.model, torch.zeros(1, 1, 8, 8), trained.parent / "again.pte").explanation
    measured = measure(model, model, [])
    twin = {name: [LayerTime("", "XNNPACK", 1e-6), LayerTime("", "XNNPACK", 2e-6)] for name in units.stretches(run)}
    rows = units.compare_units(run, run, explanation, measured.layers[0], twin)
    assert measured.isa == isa()
    assert [row.name for row in rows] == list(twin)
    assert sum(row.binary_seconds for row in rows) == pytest.approx(sum(x.seconds for x in measured.layers[0]))
    assert all(row.binary_seconds > 0 and row.float_seconds == pytest.approx(3e-6) for row in rows)
    assert all(row.binary_bytes == row.float_bytes > 0 for row in rows)


def test_the_digits_are_those_of_the_test_split(trained: Path) -> None:
    digits = load_digits(load_run(trained))
    assert digits.inputs.shape == (len(digits.labels), 1, 8, 8)
    assert digits.pixels.shape == (len(digits.labels), 8, 8)
    assert digits.accuracy(digits.labels) == 1
