"""Several processes under torchrun: together they do what one does."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from data.image_files import write_folder
from train.tiny import TINY

pytestmark = pytest.mark.slow

TESTS = Path(__file__).parents[1]
ALIKE = {**TINY, "augmentation": "none", "mixed_precision": "double"}
"""In double precision no sign turns because sums were taken in another order."""


def start(
    out: Path, processes: int, overrides: dict[str, Any] | None = None, **arguments: Any
) -> subprocess.Popen[str]:
    code = f"""
import torch
from bittern.train import TrainingInterrupted
from train.tiny import train
torch.set_num_threads(1)
try:
    train({str(out)!r}, overrides={ALIKE | (overrides or {})!r}, **{arguments!r})
except TrainingInterrupted as error:
    print(error)
"""
    return launch(out, processes, code)


def launch(out: Path, processes: int, code: str) -> subprocess.Popen[str]:
    script = out.parent / f"{out.name}.py"
    script.write_text(code)
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    return subprocess.Popen(
        [sys.executable, *(launcher if processes > 1 else []), str(script)],
        env={**os.environ, "PYTHONPATH": str(TESTS), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def train(out: Path, processes: int, overrides: dict[str, Any] | None = None, **arguments: Any) -> str:
    child = start(out, processes, overrides, **arguments)
    text, _ = child.communicate(timeout=120)
    assert child.returncode == 0, text
    return text


def weights(out: Path) -> dict[str, torch.Tensor]:
    return load_file(out / "model.safetensors")


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("one") / "run"
    train(out, 1)
    return out


def test_two_processes_end_where_one_with_twice_the_batch_does(one: Path, tmp_path: Path) -> None:
    train(tmp_path / "two", 2)
    expected, found = weights(one), weights(tmp_path / "two")
    assert list(expected) == list(found)
    for name, tensor in expected.items():
        # 44 steps of sums in another order, in float64; Adam divides by roots of small numbers.
        torch.testing.assert_close(found[name], tensor, rtol=1e-6, atol=1e-9, msg=name)
    metrics = [json.loads((out / "model.json").read_bytes())["metrics"] for out in (one, tmp_path / "two")]
    assert metrics[0]["test_accuracy"] == metrics[1]["test_accuracy"]
    assert metrics[0]["train_loss"] == pytest.approx(metrics[1]["train_loss"], rel=1e-6)


def test_the_average_of_two_processes_is_that_of_one(tmp_path: Path) -> None:
    for processes in (1, 2):
        train(tmp_path / f"of{processes}", processes, {"ema": 0.9}, epochs=1)
    expected, found = weights(tmp_path / "of1"), weights(tmp_path / "of2")
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-6, atol=1e-9, msg=name)


def log(out: Path) -> list[dict[str, str]]:
    with open(out / "log.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_of_two_that_is_stopped_and_resumed_ends_the_same(tmp_path: Path) -> None:
    augmented = {"augmentation": "shift1"}  # whose random stream is another in each process
    train(tmp_path / "whole", 2, augmented)
    child = start(tmp_path / "parts", 2, augmented, checkpoint_seconds=0.0)
    checkpoint = tmp_path / "parts" / "checkpoint" / "checkpoint.json"
    deadline = time.monotonic() + 60
    while not checkpoint.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    child.send_signal(signal.SIGTERM)
    text, _ = child.communicate(timeout=60)
    assert json.loads(checkpoint.read_bytes())["state"]["step"] < 44
    assert "stopped by SIGTERM at step" in text
    train(tmp_path / "parts", 2, augmented, resume=True)
    assert all(torch.equal(t, weights(tmp_path / "parts")[n]) for n, t in weights(tmp_path / "whole").items())


def test_images_that_any_of_the_processes_cannot_read_are_counted_and_named(tmp_path: Path) -> None:
    data = tmp_path / "data"
    write_folder(data, {"train": 34, "test": 9})
    for number in range(5):
        (data / "train" / "bee" / f"cut{number}.png").write_bytes(b"cut short")
    found = {}
    for processes in (1, 2):
        out = tmp_path / f"run{processes}"
        code = f"""
from pathlib import Path
from train.test_streamed import train
from train.tiny import At
reporter = At()
first = train(Path({str(data)!r}), Path({str(out)!r}), progress=reporter).first
said = " ".join(map(str, reporter.messages + reporter.steps))
Path({str(out)!r} + (".first" if first else ".other")).write_text(said)
"""
        launch(out, processes, code).communicate(timeout=120)
        said = out.with_suffix(".first").read_text()
        found[processes] = (sorted(re.findall(r"cut\d.png", said)), log(out)[-1]["skipped"])
    assert (tmp_path / "run2.other").read_text() == ""
    assert found[2] == found[1]
    assert len(found[1][0]) == int(found[1][1]) > 3


def test_a_gradient_that_is_not_finite_in_one_of_the_processes_stops_them_all_alike(tmp_path: Path) -> None:
    code = f"""
import os
from bittern.train import TrainingError
from train.test_run import SpoilGradient
from train.tiny import train
spoil = SpoilGradient("blocks.0.conv", 6 if os.environ["RANK"] == "1" else 0)
try:
    train({str(tmp_path / "run")!r}, observers=[spoil])
except TrainingError as error:
    print(error)
"""
    text, _ = launch(tmp_path / "run", 2, code).communicate(timeout=120)
    stopped = re.findall(r"the gradient of '(\S+)' is not finite .*? at step 6 \(epoch 1 of step1\): training", text)
    assert stopped == ["blocks.0.conv.weight"] * 2, text


def test_a_batch_that_cannot_be_shared_out_evenly_is_refused(tmp_path: Path) -> None:
    child = start(tmp_path / "odd", 2, {"batch_size": 127})
    text, _ = child.communicate(timeout=120)
    assert "batch_size 127 must be a multiple of 2: 2 processes times 1 passes (accumulate)" in text
