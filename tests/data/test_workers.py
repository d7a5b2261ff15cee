"""The processes that decode images: what they load, how they end, and what happens when one dies."""

import os
import signal
import socket
import subprocess
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from bittern.data import DataError, decode, stream
from bittern.data.decode import Task
from bittern.data.stream import default_workers
from bittern.data.workers import Workers
from data.image_files import write_folder
from data.streams import opened


def test_an_epoch_leaves_no_process(folder: Path) -> None:
    before = children()
    left = opened(folder / "images").epoch(batch_size=4, seed=1)
    next(left)
    assert len(children()) == len(before) + 2
    del left
    assert children() == before
    list(opened(folder / "images").epoch(batch_size=4, seed=1))
    assert children() == before


def children() -> set[str]:
    tasks = Path(f"/proc/{os.getpid()}/task").iterdir()
    return {pid for task in tasks for pid in (task / "children").read_text().split()}


def test_the_cpus_are_shared_by_the_ranks_of_a_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(12)))
    assert default_workers() == 12
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert default_workers() == 3
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "40")
    assert default_workers() == 1


def test_a_worker_loads_neither_torch_nor_numpy(folder: Path) -> None:
    with Workers(1, 1, 8) as workers:
        workers.send([Task(0, str(folder / "images/train/ant/00000.png"), 0, -1, "0")])
        ((_, failed),) = workers.receive()
        maps = Path(f"/proc/{workers._workers[0].process.pid}/maps").read_text()
    assert not failed
    assert "libtorch" not in maps
    assert "numpy" not in maps


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_worker_that_dies_ends_the_epoch_with_an_error(
    tmp_path: Path, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(tmp_path, {"train": 300, "test": 1})  # far more than are decoded ahead
    pools: list[Workers] = []

    class Spied(Workers):
        def __init__(self, count: int, places: int, side: int) -> None:
            super().__init__(count, places, side)
            pools.append(self)

    monkeypatch.setattr(stream, "Workers", Spied)
    epoch = opened(tmp_path).epoch(batch_size=2, seed=0)
    next(epoch)
    process = pools[0]._workers[1].process
    process.send_signal(number)
    name = signal.Signals(number).name
    with pytest.raises(DataError, match=rf"\(pid {process.pid}\) was killed by {name} at .*/train/.*fewer workers"):
        list(epoch)
    assert all(worker.process.poll() is not None for worker in pools[0]._workers)


def test_signals_to_stop_do_not_reach_workers(folder: Path) -> None:
    """The trainer then saves a checkpoint, without data; it must not take its workers for dead."""
    task = Task(0, str(folder / "images/train/ant/00000.png"), 0, -1, "0")
    with Workers(1, 1, 8) as workers:
        workers.send([task])
        workers.receive()
        for number in (signal.SIGINT, signal.SIGTERM):
            workers._workers[0].process.send_signal(number)
        workers.send([task])
        assert workers.receive() == [([task], {})]


def test_a_worker_is_asked_for_more_than_fits_into_its_connection(folder: Path) -> None:
    task = Task(0, str(folder / "images/train/ant/00000.png"), 0, -1, "0")

    def too_long(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(30)
    try:
        with Workers(1, 1, 8) as workers:
            for _ in range(1000):
                workers.send([task])
            answered = 0
            while answered < 1000:
                answered += len(workers.receive())
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


SCRIPT = """
import os, sys, time
from pathlib import Path
from bittern.data import open_dataset

epoch = open_dataset("images", sys.argv[1], image_size=8, workers=2).splits["train"].epoch(batch_size=4, seed=0)
next(epoch)
print(Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text(), flush=True)
time.sleep(60)
"""


def test_a_script_without_main_guard_streams_and_its_workers_end_with_it(folder: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    process = subprocess.Popen([sys.executable, script, folder / "images"], stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        pids = process.stdout.readline().split()
        process.kill()
    assert len(pids) == 2
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [pid for pid in pids if is_running(pid)]


STUCK = """
import importlib.util, sys, time
spec = importlib.util.spec_from_file_location("decode", sys.argv[1])
decode = importlib.util.module_from_spec(spec)
spec.loader.exec_module(decode)
decode.decode = lambda *_: time.sleep(600)
decode.main(*sys.argv[2:])
"""


def test_a_worker_that_is_stuck_in_an_image_ends_when_its_parent_is_killed(folder: Path) -> None:
    ours, theirs = socket.socketpair()
    memory = os.memfd_create("images")
    os.truncate(memory, 3)
    arguments = [decode.__file__, theirs.fileno(), memory, 1]
    command = [sys.executable, "-c", STUCK, *map(str, arguments)]
    with subprocess.Popen(command, pass_fds=(theirs.fileno(), memory)) as process:
        theirs.close()
        os.close(memory)
        tasks = Connection(ours.detach())
        tasks.send([(0, str(folder / "images/train/ant/00000.png"), 0, -1, "0")])
        time.sleep(1)
        assert process.poll() is None
        tasks.close()  # as the system does for a process that is killed
        assert process.wait(10) == 0


def is_running(pid: str) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
