"""Two runs never share a folder, and a lock that nobody holds is no obstacle."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bittern._run_files import LOCK_FILE
from bittern.train import RunError, lock
from train.tiny import At, train

HOLD = """
import sys, time
from pathlib import Path
from bittern.train import lock
with lock.hold(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_run_in_a_folder_is_refused_and_the_first_one_is_not_disturbed(tmp_path: Path) -> None:
    refused: list[str] = []

    def start_another() -> None:
        for resume in (False, True):
            with pytest.raises(RunError) as error:
                train(tmp_path / "run", resume=resume)
            refused.append(str(error.value))

    train(tmp_path / "run", progress=At(3, start_another), epochs=1)
    assert len(refused) == 2
    for message in refused:
        assert f"process {os.getpid()} on " in message
        assert "is at work in" in message
    train(tmp_path / "run", epochs=1, resume=True)  # it is free again


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(RunError, match=f"process {holder.pid} on "), lock.hold(tmp_path):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    assert (tmp_path / LOCK_FILE).exists()
    with lock.hold(tmp_path):
        assert f"process {os.getpid()} on " in (tmp_path / LOCK_FILE).read_text()


def test_a_run_that_fails_before_its_first_file_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="read from a folder"):
        train(tmp_path / "a" / "run", overrides={"dataset": "cifar10"})
    assert not (tmp_path / "a" / "run").exists()


def make_file(folder: Path) -> Path:
    (folder / "file").touch()
    return folder / "file" / "run"


def make_folder_in_place_of_the_lock(folder: Path) -> Path:
    (folder / LOCK_FILE).mkdir()
    return folder


def make_link_in_place_of_the_lock(folder: Path) -> Path:
    (folder / LOCK_FILE).symlink_to(folder / "elsewhere")
    return folder


@pytest.mark.parametrize(
    "make", [make_file, make_folder_in_place_of_the_lock, make_link_in_place_of_the_lock, lambda _: Path("/proc/self")]
)
def test_a_folder_that_cannot_be_written_to_is_refused_before_the_data_is_read(
    make: Callable[[Path], Path], tmp_path: Path
) -> None:
    reporter = At()
    with pytest.raises(RunError, match=r"cannot write in .*; choose another folder"):
        train(make(tmp_path), progress=reporter)
    assert reporter.steps == []
    assert not (tmp_path / "elsewhere").exists()
