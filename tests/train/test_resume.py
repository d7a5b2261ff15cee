"""A run that is stopped and resumed ends with the same weights as one that is not."""

import csv
import os
import pty
import random
import re
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from bittern.train import RunError, TrainingError, TrainingInterrupted, checkpoint
from bittern.train.atomic import write_atomically
from train.tiny import TINY, At, CutShortError, cut_short, train

WITH_TESTS = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}


def weights(out: Path) -> bytes:
    return (out / "model.safetensors").read_bytes()


def log(out: Path) -> list[dict[str, str]]:
    with open(out / "log.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    times = ("seconds", "steps_per_second", "waiting")
    return [{key: value for key, value in row.items() if key not in times} for row in rows]


def raise_signal(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("step", [1, 7, 11, 22, 30])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_saves_a_checkpoint_from_which_the_run_can_be_resumed(
    number: signal.Signals, step: int, finished: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    with pytest.raises(TrainingInterrupted, match=rf"stopped by {number.name} at step {step} \(.*--resume"):
        train(out, progress=At(step, lambda: raise_signal(number)))
    reporter = At()
    train(out, resume=True, progress=reporter)
    assert reporter.steps == list(range(step + 1, 45))
    assert reporter.messages[0].startswith(f"resuming from step {step} (")
    assert weights(out) == weights(finished)
    assert log(out) == log(finished)


def test_a_signal_that_is_ignored_stays_so(tmp_path: Path) -> None:
    """As ``nohup`` asks for."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        train(tmp_path / "run", epochs=1, progress=At(3, lambda: raise_signal(signal.SIGHUP)))
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_run_whose_terminal_closes_saves_a_checkpoint(tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = ["train", "digits", "--out", str(out), "--epochs", "2000", "--checkpoint-every", "9999"]
    command += [part for key, value in TINY.items() for part in ("--set", f"{key}={value}")]
    child, terminal = pty.fork()
    if child == 0:
        os.execv(
            sys.executable, [sys.executable, "-c", "import sys, bittern.cli; sys.exit(bittern.cli.main())", *command]
        )
    seen = b""
    while b"epoch 3:" not in seen:
        seen += os.read(terminal, 1000)
    os.close(terminal)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 130
    assert checkpoint.exists(out / "checkpoint")


def test_a_run_resumed_on_other_threads_is_told_that_the_bits_will_differ(tmp_path: Path) -> None:
    out, reporter = tmp_path / "run", At()
    with pytest.raises(TrainingInterrupted):
        train(out, epochs=1, progress=At(1, lambda: raise_signal(signal.SIGTERM)))
    torch.set_num_threads(2)
    try:
        train(out, epochs=1, resume=True, progress=reporter)
    finally:
        torch.set_num_threads(1)
    assert "started on 1 threads, resumed on 2" in reporter.messages[1]
    assert "OMP_NUM_THREADS=1" in reporter.messages[1]


@pytest.mark.slow
def test_a_run_killed_at_any_moment_and_resumed_ends_with_the_same_weights(finished: Path, tmp_path: Path) -> None:
    seed = secrets.randbits(32)
    chance = random.Random(seed)
    step, delay = chance.randint(1, 44), chance.uniform(0, 0.1)
    print(f"seed {seed}: killed {delay:.3f} s after step {step}")
    out = tmp_path / "run"
    code = f"""
import time
import torch
from bittern.train import Reporter, run
torch.set_num_threads(1)
class Print(Reporter):
    def step(self, done, total, figures):
        print(done, flush=True)
        if done == total:
            time.sleep(600)  # to be killed before the end
options = dict(epochs=2, overrides={TINY!r}, accelerator="cpu", checkpoint_seconds=0.05)
run("digits", None, {str(out)!r}, progress=Print(), **options)
"""
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert child.stdout
    with child.stdout:
        for line in child.stdout:
            if line.strip() == str(step):
                time.sleep(delay)
                child.kill()
                break
    assert child.wait() == -signal.SIGKILL
    reporter = At()
    train(out, resume=True, progress=reporter)
    assert reporter.steps == list(range(reporter.steps[0], 45))
    assert weights(out) == weights(finished)
    assert log(out) == log(finished)


def test_a_full_disk_ends_the_run_and_leaves_the_last_checkpoint_intact(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    code = f"""
import resource
import torch
from bittern.train import TrainingError
from train.tiny import At, train
torch.set_num_threads(1)
try:
    train({str(out)!r}, progress=At(15, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))))
except TrainingError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], env=WITH_TESTS, capture_output=True, text=True, check=False)
    message = r"cannot write .*state-00000022-\w{8}\.safetensors of 0\.\d MB \(File too large\).*intact.*--resume"
    assert re.search(message, done.stdout), done
    kept = " ".join(sorted(p.name for p in (out / "checkpoint").iterdir()))
    assert re.fullmatch(r"checkpoint\.json state-00000011-\w{8}\.safetensors", kept)
    reporter = At()
    train(out, resume=True, progress=reporter)
    assert reporter.steps[0] == 12
    assert weights(out) == weights(finished)


def test_a_result_that_cannot_be_written_leaves_a_checkpoint_to_resume_from(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    (out / "model.safetensors").mkdir(parents=True)  # a folder cannot be replaced by a file
    with pytest.raises(TrainingError, match=r"cannot write .*model\.safetensors"):
        train(out, resume=True)
    (out / "model.safetensors").rmdir()
    train(out, resume=True)
    assert weights(out) == weights(finished)


def test_of_two_checkpoints_of_a_step_the_first_stays_until_the_second_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (checkpoint.Checkpoint({"x": torch.tensor(v)}, {"stage": v}) for v in (0, 1))
    checkpoint.save(tmp_path, first, step=22)

    def dies(path: Path, content: bytes) -> None:
        if path.suffix == ".json":
            raise CutShortError
        write_atomically(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "write_atomically", dies)
        with pytest.raises(CutShortError):
            checkpoint.save(tmp_path, second, step=22)
    assert checkpoint.load(tmp_path) == first
    checkpoint.save(tmp_path, second, step=22)
    assert checkpoint.load(tmp_path) == second


def test_the_next_checkpoint_removes_the_partial_files_of_a_killed_process(tmp_path: Path) -> None:
    for name in (".state-00000011-01234567.safetensors.4711.tmp", ".checkpoint.json.4711.tmp"):
        (tmp_path / name).write_bytes(b"half")
    checkpoint.save(tmp_path, checkpoint.Checkpoint({"x": torch.ones(1)}, {}), step=1)
    assert {p.suffix for p in tmp_path.iterdir()} == {".json", ".safetensors"}


def test_the_curves_of_a_resumed_run_have_one_point_for_each_epoch(tmp_path: Path) -> None:
    with pytest.raises(CutShortError):
        train(tmp_path / "run", progress=At(15, cut_short))
    train(tmp_path / "run", resume=True)
    curves = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    assert [point.step for point in curves.Scalars("loss")] == [11, 22, 33, 44]


def test_resuming_a_finished_run_changes_nothing(finished: Path) -> None:
    reporter, before = At(), weights(finished)
    result = train(finished, resume=True, progress=reporter)
    assert reporter.messages == [f"{finished} is already finished"]
    assert (result.info.metrics["test_accuracy"], weights(finished)) == (
        float(log(finished)[-1]["test_accuracy"]),
        before,
    )


def test_resuming_without_a_run_starts_one(finished: Path, tmp_path: Path) -> None:
    train(tmp_path / "new", resume=True)
    assert weights(tmp_path / "new") == weights(finished)


DIFFERENT: list[tuple[dict[str, Any], str]] = [
    ({"seed": 3}, "seed: 0 -> 3"),
    ({"epochs": 5}, "step1.epochs: 2 -> 5; step2.epochs: 2 -> 5"),
    ({"overrides": {"step2.lr": 0.5}}, r"step2.lr: 0\.\d+ -> 0.5"),
    ({"overrides": {"model.widths": "8,16"}}, r"model.widths: \[8, 8\] -> \[8, 16\]"),
]


@pytest.mark.parametrize(("changes", "difference"), DIFFERENT)
@pytest.mark.parametrize("done", [True, False])
def test_resuming_with_different_settings_is_refused_with_the_difference(
    changes: dict[str, Any], difference: str, done: bool, finished: Path, tmp_path: Path
) -> None:
    out = finished
    if not done:
        out = tmp_path / "run"
        with pytest.raises(TrainingInterrupted):
            train(out, progress=At(1, lambda: raise_signal(signal.SIGTERM)))
    with pytest.raises(RunError, match=rf"started with different settings \({difference}\); resume"):
        train(out, resume=True, **changes)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: next(f.glob("state-*")).unlink(), r"state-[-\w]+\.safetensors cannot be read"),
        (lambda f: next(f.glob("state-*")).write_bytes(b"x" * 100), "is damaged: its SHA-256"),
        (lambda f: (f / "checkpoint.json").write_bytes(b'{"format": 4, '), "is not a checkpoint of Bittern"),
        (
            lambda f: (f / "checkpoint.json").write_bytes(
                (f / "checkpoint.json").read_bytes().replace(b'"format": 4', b'"format": 2')
            ),
            "has format 2, this version of Bittern reads format 4; resume with the version that wrote it",
        ),
        (
            lambda f: (f / "checkpoint.json").write_bytes(
                (f / "checkpoint.json").read_bytes().replace(b'"step": 1', b'"step": 2')
            ),
            "is damaged or was edited .*state",
        ),
    ],
)
def test_a_damaged_checkpoint_is_refused(damage: Any, message: str, tmp_path: Path) -> None:
    out = tmp_path / "run"
    with pytest.raises(TrainingInterrupted):
        train(out, progress=At(1, lambda: raise_signal(signal.SIGTERM)))
    damage(out / "checkpoint")
    with pytest.raises(RunError, match=message):
        train(out, resume=True)
