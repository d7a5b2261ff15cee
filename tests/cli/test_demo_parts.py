"""The demo's parts, without training. `test_demo.py` runs all of it."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from bittern.cli._layers import LayerTime
from bittern.cli._machine import Machine
from bittern.cli.demo.folder import BINARY, REPORT, claim
from bittern.cli.demo.page import render
from bittern.cli.demo.result import Demo, NetworkResult
from bittern.cli.demo.steps import Steps
from bittern.export import Explanation, LayerCheck, Verification, summary
from bittern.models import create
from bittern.study.read import read_study
from cli.invoke import bittern, bittern_process, without
from study.browser import look, needs_chromium

CHECK = Verification(
    isa="portable",
    images=2,
    layers=(LayerCheck("blocks.0.conv", "conv2d_packed", "bits", values=640, model_differences=0),),
    predictions=(3, 5),
    model_predictions=(3, 5),
    logit_margin=0.0,
    largest_logit_difference=1e-6,
)
NETWORK = NetworkResult("digits", "digits.pte", 1000, 0.98, 0.98, 2, 1e-6, 2e-5, 0.01)


@pytest.fixture(scope="module")
def demo(trained: Path) -> Demo:
    """Of two digits, a 3 that is read correctly and a 7 that is read as a 5."""
    return Demo(
        seed=0,
        machine=Machine("CPU", 2, "Linux"),
        isa="portable",
        pixels=np.zeros((2, 8, 8), np.uint8),
        labels=np.array([3, 7]),
        logits=np.eye(10, dtype=np.float32)[[3, 5]],
        binary=NETWORK,
        twin=replace(NETWORK, recipe="digits-float", size=16000, latency=1e-4),
        checks=[CHECK],
        layers=[LayerTime("", "XNNPACK", 1e-6), LayerTime("blocks.0.conv", "conv2d_packed", 4e-6, "<conv>")],
        summary=summary(create("digits-resnet"), (1, 8, 8)),
        explanation=Explanation(()),
        studies=[read_study(trained)],
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
    assert f"{tmp_path} holds files" in outcome.error
    assert "--out DIR" in outcome.error
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    outcome = bittern("demo", "--out", tmp_path / "file")
    assert outcome.code == 2
    assert f"{tmp_path / 'file'} is a file" in outcome.error


@pytest.mark.parametrize(
    ("before", "variables", "message"),
    [
        (without("executorch"), {}, "pip install '.[export]'"),
        (without("jinja2"), {}, "pip install '.[train]'"),
        ("", {"BITTERN_ISA": "avx1024"}, "avx1024"),
    ],
)
def test_a_missing_package_is_reported_before_training(
    before: str, variables: dict[str, str], message: str, tmp_path: Path
) -> None:
    outcome = bittern_process("demo", "--out", tmp_path / "demo", before=before, **variables)
    assert outcome.code == 2
    assert message in outcome.error


def test_a_good_result_has_no_problems(demo: Demo) -> None:
    assert demo.problems == []
    result = demo.to_json()
    assert result["passed"] is True
    assert result["size_ratio"] == 16
    assert result["speed_ratio"] == pytest.approx(5)
    assert result["seconds"]["total"] == 7
    assert result["instruction_sets"][0]["accuracy"] == 0.5
    assert demo.values_compared == 640


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"binary": replace(NETWORK, accuracy=0.9699)}, "96.99% of the test digits are read correctly in the engine"),
        ({"binary": replace(NETWORK, pytorch_accuracy=0.5)}, "in PyTorch, expected at least 97%"),
        ({"checks": [replace(CHECK, predictions=(3, 6))]}, "1 predictions differ"),
        (
            {"checks": [replace(CHECK, layers=(replace(CHECK.layers[0], reference_differences=7),))]},
            "7 values differ from the reference (portable)",
        ),
        (
            {"checks": [replace(CHECK, layers=(replace(CHECK.layers[0], margin=0.5),))]},
            "than rounding explains (portable)",
        ),
    ],
)
def test_every_broken_promise_is_a_problem(change: dict[str, Any], problem: str, demo: Demo) -> None:
    broken = replace(demo, **change)
    (found,) = broken.problems
    assert problem in found
    assert broken.to_json()["passed"] is False
    assert problem in render(broken)


@pytest.mark.parametrize(("latency", "words"), [(1e-4, "5.0 x faster"), (1e-5, "2.0 x slower")])
def test_the_table_says_which_network_is_faster(latency: float, words: str, demo: Demo) -> None:
    file = io.StringIO()
    Console(file=file, width=120).print(replace(demo, twin=replace(demo.twin, latency=latency)).tables())
    assert words in file.getvalue()
    assert "0 of 640" in file.getvalue()


def test_the_page_shows_digits_curves_times_and_checks(demo: Demo) -> None:
    page = render(demo)
    assert "All 1 that it gets wrong" in page
    assert 'alt="a 7, read as 5"' in page
    assert page.count("data:image/png;base64,") == 2
    assert page.count("<svg role=") == 2
    assert "25.00%" in page  # the float part takes a quarter of the longest node's time
    assert "conv2d_packed" in page
    assert page.count("of 1 bit") == 6
    assert "{{" not in page


def test_the_page_says_nothing_of_mistakes_where_there_are_none(demo: Demo) -> None:
    page = render(replace(demo, labels=np.array([3, 5])))
    assert "gets wrong" not in page
    assert "The first 2 that it gets right" in page


@needs_chromium
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fits_a_phone_and_a_desktop(width: int, demo: Demo, tmp_path: Path) -> None:
    page = tmp_path / "demo.html"
    page.write_text(render(demo), "utf-8")
    seen = look(page, tmp_path, width=width)
    assert (seen.console, seen.blank, seen.overflow, seen.requests) == ([], [], 0, 0)
    assert seen.figures == 2


def test_a_step_is_one_line_where_there_is_no_terminal() -> None:
    file = io.StringIO()
    steps = Steps(Console(file=file, width=40))
    with steps.step("train") as step:
        step.epoch({"stage": "step1", "epoch": 2, "test_accuracy": 0.5})
        step.step(3, 4, {"loss": 0.1, "accuracy": 0.9})
        step.note = "done, and its note [sic] is longer than forty columns"
    (line,) = file.getvalue().splitlines()
    assert line.startswith("train: done, and its note [sic] is longer than forty columns (")
    assert list(steps.seconds) == ["train"]


def test_a_terminal_shows_how_far_a_training_is() -> None:
    file = io.StringIO()
    with Steps(Console(file=file, force_terminal=True, width=80)).step("train") as step:
        step.epoch({"stage": "step1", "epoch": 2, "test_accuracy": 0.5})
        step.step(3, 4, {"loss": 0.1, "accuracy": 0.9})
    assert "train: 75%, step1 epoch 2, 50.00 % correct" in file.getvalue()
