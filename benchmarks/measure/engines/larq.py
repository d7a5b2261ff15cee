"""Larq Compute Engine through its own interpreter. ``options``: indirect, xnnpack.

It has kernels for Arm alone; on x86 it runs its portable C++ code.
"""

from pathlib import Path
from typing import Any

import larq_compute_engine
import numpy as np

from benchmarks.measure.engines.timed import Timed, TimedFunction


def ready() -> None:
    """Importing it was enough."""


def load(path: Path, threads: int, options: dict[str, Any]) -> Timed:
    interpreter = larq_compute_engine.testing.Interpreter(
        path.read_bytes(),
        num_threads=threads,
        use_indirect_bgemm=options.get("indirect", False),
        use_xnnpack=options.get("xnnpack", False),
    )
    random = np.random.default_rng(0)
    inputs = [random.standard_normal(shape, np.float32) for shape in interpreter.input_shapes]
    return TimedFunction(lambda: interpreter.interpreter.predict(inputs))
