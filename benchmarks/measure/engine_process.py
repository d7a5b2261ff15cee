"""A process that runs engines: ``python -m benchmarks.measure.engine_process CORES``, confined to these cores.

Reads requests from stdin and answers on stdout, one JSON object a line:

    {"do": "build", "builder": module, "subject": {...}, "path": file}     builds a model file
    {"do": "load", "engine": module, "path":, "threads":, "options":, "slot": name}
    {"do": "burst", "slot":, "seconds":, "calls":}                         {"result": [shortest, median]} in seconds
    {"do": "drop"}                                                         forgets all slots
    {"do": "footprint", "engine":, "path":, "threads":, "options":}        {"result": {...}}, in a fresh process
    {"do": "call", "module":, "function":, "arguments": [...]}             {"result": what the function returns}
"""

import importlib
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.measure.engines.timed import Timed

SLOTS: dict[str, Timed] = {}


def build(builder: str, subject: dict[str, Any], path: str) -> None:
    """Writes under a temporary name, then renames."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"partial-{os.getpid()}-{target.name}")
    module = importlib.import_module(f"benchmarks.measure.build_models.{builder}")
    module.build(subject, partial)
    for file in partial.parent.glob(f"partial-{os.getpid()}-*"):  # OpenVINO writes two
        file.rename(file.with_name(file.name.removeprefix(f"partial-{os.getpid()}-")))


def load(engine: str, path: str, threads: int, options: dict[str, Any], slot: str = "") -> None:
    module = importlib.import_module(f"benchmarks.measure.engines.{engine}")
    SLOTS[slot] = module.load(Path(path), threads, options)


def burst(slot: str, seconds: float, calls: int) -> list[float]:
    """The first calls refill the caches, which another process has used in the meantime."""
    timed = SLOTS[slot]
    timed.times(seconds / 4, 1)
    times = timed.times(seconds, calls)
    return [min(times), statistics.median(times)]


def drop() -> None:
    SLOTS.clear()


def footprint(engine: str, path: str, threads: int, options: dict[str, Any]) -> dict[str, float]:
    """``bytes``: by how much peak resident memory grows from before the model is read to after three runs.
    ``seconds``: of loading, the shortest of five."""
    importlib.import_module(f"benchmarks.measure.engines.{engine}").ready()
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here on
    before = _peak()
    load(engine, path, threads, options)
    SLOTS[""].times(0, 3)
    grown = _peak() - before
    seconds = []
    for _ in range(5):
        drop()
        start = time.perf_counter()
        load(engine, path, threads, options)
        seconds.append(time.perf_counter() - start)
    return {"bytes": grown, "seconds": min(seconds)}


def call(module: str, function: str, arguments: list[Any]) -> Any:
    return getattr(importlib.import_module(f"benchmarks.measure.{module}"), function)(*arguments)


def _peak() -> int:
    """Peak resident memory in bytes. (getrusage's includes the process that started this one.)"""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


HANDLERS: dict[str, Callable[..., Any]] = {
    "build": build,
    "load": load,
    "burst": burst,
    "drop": drop,
    "footprint": footprint,
    "call": call,
}


def main() -> None:
    os.sched_setaffinity(0, {int(core) for core in sys.argv[1].split(",")})
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print goes to stderr
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"result": HANDLERS[request.pop("do")](**request)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
