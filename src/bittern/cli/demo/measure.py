"""Timing in a process without torch: ``python -m bittern.cli.demo.measure BINARY.pte FLOAT.pte UNIT.pte...``.

Prints JSON: the instruction set, the interleaved latencies of the first two files, and the nodes of every file with
their times.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bittern.cli._errors import FailedError
from bittern.cli._layers import LayerTime, layer_times

ROUNDS = 100


@dataclass(frozen=True)
class Measurement:
    """``latency`` and ``spread`` of the first two files, ``layers`` of all, in the order of the files."""

    isa: str
    latency: tuple[float, float]
    spread: tuple[float, float]
    layers: tuple[tuple[LayerTime, ...], ...]


def measure(binary: Path, twin: Path, units: Sequence[Path]) -> Measurement:
    """Measures in a new process.

    Raises:
        FailedError: the process failed; the message is what it said.
    """
    command = [sys.executable, "-m", __name__, *map(str, (binary, twin, *units))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise FailedError(f"the process that times the networks failed: {done.stderr.strip()}")
    found = json.loads(done.stdout)
    layers = tuple(tuple(LayerTime(**layer) for layer in file) for file in found["layers"])
    return Measurement(found["isa"], tuple(found["latency"]), tuple(found["spread"]), layers)


def main(paths: Sequence[str]) -> dict[str, Any]:
    import numpy as np

    from bittern.runtime import Engine, interleaved, isa, load

    def run(engine: Engine) -> object:
        return engine(images[engine.path])

    engines = [load(path) for path in paths]
    random = np.random.default_rng(0)
    images = {engine.path: random.standard_normal(engine.metadata.input_shape, np.float32) for engine in engines}
    binary, twin = engines[:2]
    timings = interleaved({"binary": lambda: run(binary), "float": lambda: run(twin)}, rounds=ROUNDS)
    layers = [[layer.to_json() for layer in layer_times(e, images[e.path], runs=ROUNDS)] for e in engines]
    if "torch" in sys.modules:
        raise RuntimeError("torch was imported in the engine's process")
    return {
        "isa": isa(),
        "latency": [timing.median for timing in timings.values()],
        "spread": [timing.spread for timing in timings.values()],
        "layers": layers,
    }


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1:])))
