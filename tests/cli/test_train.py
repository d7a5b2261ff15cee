import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bittern.cli.train import parse_settings
from cli.invoke import TINY, bittern, bittern_process


def test_a_run_is_trained_and_reported(tmp_path: Path) -> None:
    outcome = bittern("train", "digits", "--out", tmp_path / "run", "--seed", "3", *TINY)
    assert outcome.code == 0
    assert "of the test images are right" in outcome.out
    assert "step2 epoch 1" in outcome.err
    assert (tmp_path / "run" / "model.safetensors").is_file()


def test_json_holds_what_the_run_says_of_itself(tmp_path: Path) -> None:
    result = bittern("train", "digits", "--out", tmp_path / "run", "--json", *TINY).json
    assert result["run"] == str(tmp_path / "run")
    assert result["recipe"] == "digits"
    assert result["settings"]["model.widths"] == [8, 8]
    assert 0 <= result["metrics"]["test_accuracy"] <= 1


def test_resume_of_a_finished_run_trains_nothing(trained: Path) -> None:
    before = (trained / "model.safetensors").stat().st_mtime_ns
    for arguments in ((), ("digits", *TINY)):
        outcome = bittern("train", *arguments, "--resume", trained)
        assert outcome.code == 0, outcome.err
    assert (trained / "model.safetensors").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["digit"], "unknown recipe 'digit': did you mean 'digits'?"),
        (["digits", "--set", "lr"], "--set takes KEY=VALUE"),
        (["digits", "--set", "lr=1", "--set", "lr=2"], "gives 'lr' twice"),
        (["digits", "--set", "speed=1"], "unknown setting 'speed'"),
        (["digits", "--set", "lr=fast"], "setting 'lr' takes"),
        (["digits", "--set", "batch_size=0"], "batch_size must be at least 1"),
        (["digits", "--model", "quicknt"], "unknown model 'quicknt'"),
        (["digits", "--model", "quicknet", "--set", "model=binarynet"], "differ; give one of them"),
        (
            ["cifar10-quick", "--set", "dataset=images"],
            "augmentation must not crop: images of 'images' are random crops",
        ),
        ([], "name a recipe to train"),
        (["--resume", "{run}"], "run folder {run} does not exist"),
        (["--resume", "{run}", "--epochs", "3"], "--epochs comes from the run that is resumed: leave it out"),
        (["--resume", "/another"], "--resume /another continues the run in its own folder: leave --out {run} out"),
        (["cifar10-quick"], "--data DIR"),
        (["cifar10-quick", "--data", "/no/such/folder"], "/no/such/folder does not exist"),
    ],
)
def test_what_cannot_be_trained_is_code_2(arguments: list[str], message: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    outcome = bittern("train", *(argument.format(run=run) for argument in arguments), "--out", run)
    assert outcome.code == 2
    assert message.format(run=run) in outcome.error


def test_an_empty_data_folder_is_code_2(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    outcome = bittern("train", "cifar10-quick", "--data", tmp_path / "data", "--out", tmp_path / "run")
    assert outcome.code == 2
    assert "it is empty" in outcome.error


def test_a_run_that_exists_is_not_overwritten(trained: Path) -> None:
    outcome = bittern("train", "digits", "--out", trained, *TINY)
    assert outcome.code == 2
    assert str(trained) in outcome.error


def test_settings_are_parsed() -> None:
    assert parse_settings(["lr=0.1", " model.widths = 8,8"]) == {"lr": "0.1", "model.widths": "8,8"}


DISK_OF_4_KB = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))"


def test_a_full_disk_is_code_1(tmp_path: Path) -> None:
    outcome = bittern_process("train", "digits", "--out", tmp_path / "run", *TINY, before=DISK_OF_4_KB)
    assert outcome.code == 1
    assert "cannot write" in outcome.err


def test_interrupting_keeps_what_was_trained(tmp_path: Path) -> None:
    options = [*TINY, "--epochs", "500"]
    code = "import sys; from bittern.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "train", "digits", "--out", str(tmp_path / "run"), *options]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert process.stderr is not None
    assert any("step1 epoch 1" in line for line in process.stderr)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "--resume" in errors
    assert "Traceback" not in errors
