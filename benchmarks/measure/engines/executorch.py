"""ExecuTorch programs (.pte), Bittern's and XNNPACK's alike, timed in C++ by the test binding."""

import functools
import importlib.util
import os
from pathlib import Path
from typing import Any

from benchmarks.measure.engines.timed import Timed
from benchmarks.measure.environments import NATIVE


@functools.cache
def binding() -> Any:
    """The module _bittern_native_tests of the folder that BITTERN_BENCH_NATIVE names, or of this tree."""
    (library,) = Path(os.environ.get("BITTERN_BENCH_NATIVE", NATIVE)).glob("_bittern_native_tests*.so")
    spec = importlib.util.spec_from_file_location("_bittern_native_tests", library)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def ready() -> None:
    binding()


def load(path: Path, threads: int, options: dict[str, Any]) -> Timed:
    program: Timed = binding().Program(path.read_bytes(), threads)
    return program
