"""Processes that decode images into memory shared with this one."""

import mmap
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import TracebackType
from typing import Self

import torch

import bittern
from bittern.data import decode
from bittern.data.decode import CHANNELS, Task
from bittern.data.errors import DataError

_UNANSWERED = 64
"""Tasks sent ahead to a process: few enough that all answers fit into the connection, so it never blocks on one."""

_PACKAGES = str(Path(bittern.__file__).parents[1])
"""Where a worker finds this package, also if a script has changed ``sys.path``."""


@dataclass
class _Worker:
    """``unanswered`` tasks have been sent, ``waiting`` ones have not."""

    process: subprocess.Popen[bytes]
    connection: Connection
    unanswered: deque[Sequence[Task]] = field(default_factory=deque)
    waiting: deque[Sequence[Task]] = field(default_factory=deque)

    def top_up(self) -> None:
        while self.waiting and len(self.unanswered) < _UNANSWERED:
            tasks = self.waiting.popleft()
            self.unanswered.append(tasks)
            try:
                self.connection.send([tuple(task) for task in tasks])
            except ConnectionError as error:
                raise _died(self) from error


class Workers:
    """``count`` processes over memory for ``places`` images: ``pixels`` uint8 [places, side, side, 3].

    They are separate programs, started without fork and without this process's main module, so they are independent of
    its threads, of CUDA and of scripts without a main guard; they end with this process, however it ends. The memory is
    anonymous and needs no space in /dev/shm.
    """

    def __init__(self, count: int, places: int, side: int) -> None:
        size = places * side * side * CHANNELS
        memory = os.memfd_create("bittern-images")
        self._workers: list[_Worker] = []
        self._turn = 0
        try:
            os.ftruncate(memory, size)
            self.pixels = torch.frombuffer(mmap.mmap(memory, size), dtype=torch.uint8).view(
                places, side, side, CHANNELS
            )
            for _ in range(count):
                self._workers.append(_start(memory, side))
        except BaseException:
            self.close()
            raise
        finally:
            os.close(memory)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Kills the processes."""
        for worker in self._workers:
            worker.connection.close()
            worker.process.kill()
        for worker in self._workers:
            worker.process.wait()
        self._workers.clear()

    def send(self, tasks: Sequence[Task]) -> None:
        """Gives ``tasks`` to the next process in turn."""
        worker = self._workers[self._turn % len(self._workers)]
        self._turn += 1
        worker.waiting.append(tasks)
        worker.top_up()

    def receive(self) -> list[tuple[Sequence[Task], dict[int, str]]]:
        """Waits for answers: (tasks, place -> reason of those that failed) for each finished ``send``.

        Raises:
            DataError: a process has died.
        """
        answers = []
        busy = {worker.connection: worker for worker in self._workers if worker.unanswered}
        for connection in wait(list(busy)):
            assert isinstance(connection, Connection)
            worker = busy[connection]
            try:
                failed = connection.recv()
            except (EOFError, ConnectionError) as error:
                raise _died(worker) from error
            answers.append((worker.unanswered.popleft(), dict(failed)))
            worker.top_up()
        return answers


def _start(memory: int, side: int) -> _Worker:
    ours, theirs = socket.socketpair()
    with theirs:
        # -P: do not import from the program's folder.
        command = [sys.executable, "-P", decode.__file__, str(theirs.fileno()), str(memory), str(side)]
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([_PACKAGES, os.environ.get("PYTHONPATH", "")])},
            pass_fds=(theirs.fileno(), memory),
            start_new_session=True,
        )
    return _Worker(process, Connection(ours.detach()))


def _died(worker: _Worker) -> DataError:
    code = worker.process.wait()
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
    at = worker.unanswered[0][0].path
    return DataError(
        f"a process that decodes images (pid {worker.process.pid}) {how} at {at} or soon after; "
        "if memory ran out, use fewer workers"
    )
