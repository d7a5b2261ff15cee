"""The process that asks workers in turn: one computes at a time, all on the same core, in interleaved rounds."""

import contextlib
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import environments
from benchmarks.environments import ROOT, MissingError, Say


class FailedError(Exception):
    """What an engine said when it could not do as asked, in one line."""


class Worker:
    """A process of ``environment`` on ``cores``; started when first asked, ended by `close` or at the driver's end."""

    def __init__(self, environment: str, cores: tuple[int, ...], variables: dict[str, str], say: Say) -> None:
        self._environment, self._cores, self._variables, self._say = environment, cores, variables, say
        self._process: subprocess.Popen[str] | None = None
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115

    def ask(self, do: str, **request: Any) -> Any:
        """The result of a request (benchmarks/worker.py).

        Raises:
            MissingError: the environment cannot be installed.
            FailedError: the request failed, or the process ended.
        """
        process = self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps({"do": do, **request}) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self._process = None
            with contextlib.suppress(BrokenPipeError), process:  # which flushes what could not be written
                status = process.wait()
            self._log.seek(0)
            last = self._log.read().strip().splitlines()[-1:]
            raise FailedError(f"its process ended with status {status}: {''.join(last)}"[:200])
        answer = json.loads(line)
        if "error" in answer:
            raise FailedError(str(answer["error"]).splitlines()[0][:200])
        return answer["result"]

    def close(self) -> None:
        if self._process is not None:
            with self._process:  # closes the pipes, at which the worker ends
                pass
            self._process = None
        self._log.close()

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            interpreter = environments.python(self._environment, self._say)
            variables = {
                **{key: value for key, value in os.environ.items() if key != "BITTERN_ISA"},
                "OMP_NUM_THREADS": str(len(self._cores)),
                "TF_USE_LEGACY_KERAS": "1",
                "TF_CPP_MIN_LOG_LEVEL": "3",
                **self._variables,
            }
            command = [str(interpreter), "-m", "benchmarks.worker", ",".join(map(str, self._cores))]
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                env=variables,
                cwd=ROOT,
                text=True,
            )
        return self._process


@dataclass(frozen=True)
class Column:
    """One thing to measure: an engine of an environment on a model file, or why there is none (``reason``)."""

    name: str
    environment: str
    engine: str
    path: Path = Path()
    threads: int = 1
    options: dict[str, Any] = field(default_factory=dict)
    variables: tuple[tuple[str, str], ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class Sample:
    """Seconds: the shortest and the median call of every round. ``reason``: why there are none."""

    shortest: tuple[float, ...] = ()
    medians: tuple[float, ...] = ()
    reason: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.medians)

    @property
    def quartiles(self) -> tuple[float, float]:
        if len(self.medians) < 2:
            return self.median, self.median
        low, _, high = statistics.quantiles(self.medians, n=4)
        return low, high


class Driver:
    """Workers by environment, engine, variables and threads; a context manager that ends them."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._workers: dict[tuple[Any, ...], Worker] = {}
        self._cores = sorted(os.sched_getaffinity(0))

    def __enter__(self) -> "Driver":
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers.values():
            worker.close()
        self._workers.clear()

    @property
    def cores(self) -> int:
        return len(self._cores)

    def worker(
        self, environment: str, engine: str, threads: int, variables: tuple[tuple[str, str], ...] = ()
    ) -> Worker:
        """One process an engine, so that no library's threads or settings meet another's. Pinned to the last cores:
        the first one has most of the system's interrupts, and the driver."""
        key = (environment, engine, threads, variables)
        if key not in self._workers:
            cores = tuple(self._cores[-threads:])
            self._workers[key] = Worker(environment, cores, dict(variables), self._say)
        return self._workers[key]

    def fresh(self, column: Column) -> Worker:
        """A new process for `column`; the caller closes it."""
        return Worker(column.environment, tuple(self._cores[-column.threads :]), dict(column.variables), self._say)

    def build(self, environment: str, builder: str, subject: dict[str, Any], path: Path) -> None:
        """Builds a model file where it is not there. Raises MissingError or FailedError."""
        if not path.exists():
            self.worker(environment, "build", 1).ask("build", builder=builder, subject=subject, path=str(path))

    def measure(
        self, columns: Iterable[Column], *, rounds: int, seconds: float, aloud: bool = False
    ) -> dict[str, Sample]:
        """Bursts of ``seconds`` of every column, once a round, in turn. ``aloud``: says when a round begins."""
        reasons: dict[str, str] = {}
        running: dict[str, Worker] = {}
        order = list(columns)
        for column in order:
            worker = self.worker(column.environment, column.engine, column.threads, column.variables)
            try:
                if column.reason:
                    raise MissingError(column.reason)
                worker.ask(
                    "load",
                    engine=column.engine,
                    path=str(column.path),
                    threads=column.threads,
                    options=column.options,
                    slot=column.name,
                )
                running[column.name] = worker
            except (MissingError, FailedError) as error:
                reasons[column.name] = str(error)
        shortest: dict[str, list[float]] = {name: [] for name in running}
        medians: dict[str, list[float]] = {name: [] for name in running}
        for index in range(rounds):
            if aloud:
                self._say(f"round {index + 1} of {rounds}")
            for name, worker in list(running.items()):
                time.sleep(0.001)  # threads of the burst before stop spinning
                try:
                    low, median = worker.ask("burst", slot=name, seconds=seconds, calls=3)
                except FailedError as error:
                    reasons[name] = str(error)
                    del running[name]
                    continue
                shortest[name].append(low)
                medians[name].append(median)
        for worker in set(running.values()):
            worker.ask("drop")
        return {
            c.name: Sample(reason=reasons[c.name])
            if c.name in reasons
            else Sample(tuple(shortest[c.name]), tuple(medians[c.name]))
            for c in order
        }
