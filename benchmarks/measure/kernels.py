"""Every row of the kernels' lists by its name, without ExecuTorch around it; part of ``python -m benchmarks layers``.

One kernel call at a time on one thread, the shortest of many calls. The time of conv2d_lookup and conv2d_pairs includes
bringing their operands into their form. Functions that begin with "timed" run in an engine process, since the test
binding and the engine cannot share one: both register the operators.
"""

from typing import Any

import numpy as np

from benchmarks.measure.driver import Driver
from benchmarks.measure.engines.executorch import binding
from benchmarks.measure.environments import VENV
from benchmarks.rows import ChoiceRow, KernelRow, MemoryRow, Stamp
from bittern import runtime

SHAPES = [(56, 64, 3), (28, 128, 3), (14, 256, 3), (7, 512, 3), (56, 64, 1), (14, 256, 1)]
"""Height and width, channels in and out, kernel."""

PIXELS = (1, 4, 8, 12, 16, 32, 49, 196)
FILTERS = (32, 48, 64, 128, 256)
WORDS = (2, 4, 8, 18, 36, 144)
"""32-bit words of a dot product: 1x1 on 64, 128 and 256 channels, 3x3 on 64, on 128 and on 512."""

_FOOTPRINTS = [("1 MiB", 1 << 20), ("8 MiB", 1 << 23), ("256 MiB", 1 << 28)]


def bound_names(driver: Driver) -> list[str]:
    """The bounds that this CPU can run: instruction sets, with the kernel where one has several."""
    return [str(name) for name in _call(driver, "timed_bounds")]


def measure_kernels(only: str, repeats: int, driver: Driver, stamp: Stamp) -> list[KernelRow]:
    """Kernels whose instruction set this CPU has, in cases whose name holds ``only``."""
    driver.say("kernels by instruction set")
    return [KernelRow(*values, **stamp) for values in _call(driver, "timed_kernels", only, repeats)]


def measure_choices(repeats: int, driver: Driver, stamp: Stamp) -> list[ChoiceRow]:
    """conv2d against the instruction set's other kernel, conv2d_lookup or conv2d_pairs, from one pixel upwards.

    The sizes from which the other kernel is chosen follow from these rows.
    """
    driver.say("conv2d against the other kernels")
    found = _call(driver, "timed_choices", runtime.supported_isas(), repeats)
    return [ChoiceRow(*values, **stamp) for values in found]


def measure_memory(driver: Driver, stamp: Stamp) -> list[MemoryRow]:
    """The rate of copying at the sizes of the caches and beyond."""
    return [MemoryRow(*values, **stamp) for values in _call(driver, "timed_memory")]


def timed_bounds() -> list[str]:
    return list(binding().bounds())


def timed_kernels(only: str, repeats: int) -> list[tuple[str, str, str, str, float, float]]:
    """Fields of `KernelRow`."""
    native = binding()
    supported, clock = native.detect_arch_flags(), native.cycles_per_second()
    rows = []

    def add(family: str, case: str, output: str, kernel: str, nanoseconds: float, work: int) -> None:
        rate = work / (nanoseconds * 1e-9 * clock)
        rows.append((family, case, output, kernel, nanoseconds * 1e-3, rate))

    def runnable(kernels: list[tuple[str, int]]) -> list[str]:
        return [name for name, flags in kernels if not flags & ~supported]

    for size, channels, kernel in SHAPES:
        case = f"{size}x{size}x{channels}, {kernel}x{kernel}"
        if only not in case:
            continue
        for output in ("float", "bits", "residual"):
            operands = arguments(size, channels, kernel, output)
            for name in runnable(native.conv2d_kernels()):
                count = repeats if name != "portable" else max(1, repeats // 20)
                time = native.conv2d(name, operands, 0, size * size, count)[2]
                add("conv2d", case, output, name, time, size * size * channels * channels * kernel * kernel)
    for channels in (64, 256):
        case = f"56x56x{channels}"
        if only not in case:
            continue
        for name in runnable(native.pack_kernels()):
            for family, time in native.pack_times(name, 56 * 56, channels, repeats).items():
                add(family, case, "", name, time, 56 * 56 * channels)
        for name in runnable(native.max_pool2d_kernels()):
            time = native.max_pool2d_time(name, 56, channels // 32, repeats)
            add("max_pool2d 2x2", case, "", name, time, 56 * 56 * channels)
    return rows


def timed_choices(isas: list[str], repeats: int) -> list[tuple[str, str, int, int, int, float, float]]:
    """Fields of `ChoiceRow`; none of an instruction set that has one kernel only."""
    native = binding()
    rows = []
    for isa in isas:
        for words in WORDS:
            for filters in FILTERS:
                for pixels in PIXELS:
                    kernel, direct, other = native.linear_times(isa, pixels, filters // 16, words, repeats)
                    if kernel:
                        rows.append((isa, kernel, words, filters, pixels, direct * 1e-3, other * 1e-3))
    return rows


def timed_memory() -> list[tuple[str, int, float]]:
    """Fields of `MemoryRow`."""
    native = binding()
    clock = native.cycles_per_second()
    return [(name, size, native.copy_rate(size, 8 if size > 1 << 24 else 50) / clock) for name, size in _FOOTPRINTS]


def arguments(size: int, channels: int, kernel: int, output: str) -> dict[str, Any]:
    """A layer's operands: random bits, a border of (kernel - 1) / 2 already around the input."""
    rng = np.random.default_rng(0)
    words, padded = channels // 32, size + kernel - 1
    row = padded * words
    result: dict[str, Any] = {
        "input": rng.integers(0, 2**32, padded * row, dtype=np.uint32),
        "weight": rng.integers(0, 2**32, channels * kernel * kernel * words, dtype=np.uint32),
        "image_stride": padded * row,
        "row_stride": row,
        "pixel_stride": words,
        "out_height": size,
        "out_width": size,
        "run_offsets": np.arange(kernel, dtype=np.int64) * row,
        "run_words": kernel * words,
        "filters": channels,
        "valid_bits": kernel * kernel * channels,
        "channels": channels,
        "pixel_words": words,
    }
    if output == "bits":
        result["bits"] = np.zeros(size * size * words, np.uint32)
        result["bit_threshold"] = np.zeros(channels, np.int32)
    else:
        result["values"] = np.zeros(size * size * channels, np.float32)
    if output == "residual":
        result["bits"] = np.zeros(size * size * words, np.uint32)
        result["mul"], result["add"] = (rng.normal(size=channels).astype(np.float32) for _ in range(2))
        result["residual"] = rng.normal(size=size * size * channels).astype(np.float32)
    return result


def _call(driver: Driver, function: str, *values: Any) -> Any:
    process = driver.worker(VENV, "bound", 1)
    return process.ask("call", module="kernels", function=function, arguments=values)
