"""Asks engine processes in turn: one computes at a time, all on the same core, in interleaved rounds."""

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

from benchmarks.measure import environments
from benchmarks.measure.environments import ROOT, Say, UnavailableError


class RequestError(Exception):
    """What an engine said when it could not do as asked, in one line."""


class EngineProcess:
    """A process of ``environment`` on ``cores``; starts with the first request, ends with `close`."""

    def __init__(self, environment: str, cores: tuple[int, ...], variables: dict[str, str], say: Say) -> None:
        self._environment, self._cores, self._variables, self._say = environment, cores, variables, say
        self._process: subprocess.Popen[str] | None = None
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115

    def ask(self, do: str, **request: Any) -> Any:
        """The result of a request (`benchmarks.measure.engine_process`).

        Raises:
            UnavailableError: the environment cannot be installed.
            RequestError: the request failed, or the process ended.
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
            raise RequestError(f"its process ended with status {status}: {''.join(last)}"[:200])
        answer = json.loads(line)
        if "error" in answer:
            raise RequestError(str(answer["error"]).splitlines()[0][:200])
        return answer["result"]

    def close(self) -> None:
        if self._process is not None:
            with self._process:  # closes the pipes, which ends the process
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
            command = [str(interpreter), "-m", "benchmarks.measure.engine_process", ",".join(map(str, self._cores))]
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, stderr=self._log, env=variables, cwd=ROOT, text=True
            )
        return self._process


@dataclass(frozen=True)
class Column:
    """One thing to measure: an engine of an environment on a model file, or why that is impossible (``reason``)."""

    name: str
    environment: str
    engine: str
    path: Path = Path()
    threads: int = 1
    options: dict[str, Any] = field(default_factory=dict)
    variables: tuple[tuple[str, str], ...] = ()
    reason: str = ""

    @property
    def request(self) -> dict[str, Any]:
        """What an engine process needs to load it."""
        return {"engine": self.engine, "path": str(self.path), "threads": self.threads, "options": self.options}


@dataclass(frozen=True)
class Timings:
    """Seconds: the shortest and the median call of every round. ``reason``: why there are none."""

    shortest: tuple[float, ...] = ()
    medians: tuple[float, ...] = ()
    reason: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.medians)

    def summary(self, unit: float) -> tuple[float, float, float, float]:
        """Median, quartiles and shortest call in units of ``unit`` seconds; zeros where there are none."""
        if self.reason:
            return 0.0, 0.0, 0.0, 0.0
        low = high = self.median
        if len(self.medians) > 1:
            low, _, high = statistics.quantiles(self.medians, n=4)
        return self.median / unit, low / unit, high / unit, min(self.shortest) / unit


class Driver:
    """Engine processes by environment, engine, variables and threads; a context manager that ends them."""

    def __init__(self, say: Say) -> None:
        self.say = say
        self._processes: dict[tuple[Any, ...], EngineProcess] = {}
        self._cores = sorted(os.sched_getaffinity(0))

    def __enter__(self) -> "Driver":
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes.values():
            process.close()
        self._processes.clear()

    @property
    def cores(self) -> int:
        return len(self._cores)

    def worker(
        self, environment: str, engine: str, threads: int, variables: tuple[tuple[str, str], ...] = ()
    ) -> EngineProcess:
        """One process an engine, so that no library's threads or settings meet another's. Pinned to the last cores:
        the first one serves most interrupts, and the driver."""
        key = (environment, engine, threads, variables)
        if key not in self._processes:
            cores = tuple(self._cores[-threads:])
            self._processes[key] = EngineProcess(environment, cores, dict(variables), self.say)
        return self._processes[key]

    def fresh(self, column: Column) -> EngineProcess:
        """A new process for `column`; the caller closes it."""
        cores = tuple(self._cores[-column.threads :])
        return EngineProcess(column.environment, cores, dict(column.variables), self.say)

    def build(self, environment: str, builder: str, subject: dict[str, Any], path: Path) -> None:
        """Builds a model file unless it exists. Raises UnavailableError or RequestError."""
        if not path.exists():
            self.worker(environment, "build", 1).ask("build", builder=builder, subject=subject, path=str(path))

    def measure(
        self, columns: Iterable[Column], *, rounds: int, seconds: float, aloud: bool = False
    ) -> dict[str, Timings]:
        """Bursts of ``seconds`` of every column, once a round, in turn. ``aloud``: announces every round."""
        reasons: dict[str, str] = {}
        running: dict[str, EngineProcess] = {}
        order = list(columns)
        for column in order:
            process = self.worker(column.environment, column.engine, column.threads, column.variables)
            try:
                if column.reason:
                    raise UnavailableError(column.reason)
                process.ask("load", **column.request, slot=column.name)
                running[column.name] = process
            except (UnavailableError, RequestError) as error:
                reasons[column.name] = str(error)
        bursts: dict[str, list[tuple[float, float]]] = {name: [] for name in running}
        for index in range(rounds):
            if aloud:
                self.say(f"round {index + 1} of {rounds}")
            for name, process in list(running.items()):
                time.sleep(0.001)  # until the threads of the previous burst stop spinning
                try:
                    bursts[name].append(process.ask("burst", slot=name, seconds=seconds, calls=3))
                except RequestError as error:
                    reasons[name] = str(error)
                    del running[name]
        for process in set(running.values()):
            process.ask("drop")
        return {
            name: Timings(reason=reasons[name])
            if name in reasons
            else Timings(tuple(low for low, _ in bursts[name]), tuple(median for _, median in bursts[name]))
            for name in (column.name for column in order)
        }
