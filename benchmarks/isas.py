"""Every row of the kernels' lists by its name, without ExecuTorch around it: ``python -m benchmarks isas``.

One kernel call at a time on one thread, packed input without padding to packed or float output, the shortest of many
calls. The time of conv2d_lookup and conv2d_pairs includes bringing their operands into their form.
"""

from dataclasses import asdict
from typing import Any

import numpy as np

from benchmarks.driver import Worker
from benchmarks.engines.executorch import binding
from benchmarks.environments import Say
from benchmarks.results import KernelRow, MemoryRow

SHAPES = [(56, 64, 3), (28, 128, 3), (14, 256, 3), (7, 512, 3), (56, 64, 1), (14, 256, 1)]
"""Height and width, channels in and out, kernel."""

_FOOTPRINTS = [("1 MiB", 1 << 20), ("8 MiB", 1 << 23), ("256 MiB", 1 << 28)]


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


def ask(worker: Worker, *, only: str, repeats: int, say: Say, machine: str, revision: str) -> list[KernelRow]:
    """Rows of conv2d and of the other families whose instruction set this CPU has and whose case holds ``only``."""
    say("kernels by instruction set")
    rows = worker.ask("call", module="isas", function="measure", arguments=[only, repeats, machine, revision])
    return [KernelRow(**row) for row in rows]


def ask_bounds(worker: Worker) -> list[str]:
    """Names of the bounds that this CPU can run: instruction sets, with the kernel where one has several."""
    names: list[str] = worker.ask("call", module="isas", function="bounds", arguments=[])
    return names


def ask_memory(worker: Worker, *, machine: str, revision: str) -> list[MemoryRow]:
    """The rate of copying at the sizes of the caches and beyond."""
    rows = worker.ask("call", module="isas", function="memory", arguments=[machine, revision])
    return [MemoryRow(**row) for row in rows]


def measure(only: str, repeats: int, *about: str) -> list[dict[str, Any]]:
    """In a worker, since the test binding and the engine cannot be in one process: both register the operators."""
    native = binding()
    supported, clock = native.detect_arch_flags(), native.cycles_per_second()
    rows = []
    for size, channels, kernel in SHAPES:
        case = f"{size}x{size}x{channels}, {kernel}x{kernel}"
        if only not in case:
            continue
        macs = size * size * channels * channels * kernel * kernel
        for output in ("float", "bits", "residual"):
            operands = arguments(size, channels, kernel, output)
            for name, flags in native.conv2d_kernels():
                if not flags & ~supported:
                    count = repeats if name != "portable" else max(1, repeats // 20)
                    seconds = native.conv2d(name, operands, 0, size * size, count)[2] * 1e-9
                    rows.append(KernelRow("conv2d", case, output, name, seconds * 1e6, macs / seconds / clock, *about))
    for channels in (64, 256):
        case = f"56x56x{channels}"
        if only not in case:
            continue
        for name, flags in native.pack_kernels():
            if not flags & ~supported:
                for family, nanoseconds in native.pack_times(name, 56 * 56, channels, repeats).items():
                    rate = 56 * 56 * channels / (nanoseconds * 1e-9 * clock)
                    rows.append(KernelRow(family, case, "", name, nanoseconds * 1e-3, rate, *about))
        for name, flags in native.max_pool2d_kernels():
            if not flags & ~supported:
                nanoseconds = native.max_pool2d_time(name, 56, channels // 32, repeats)
                rate = 56 * 56 * channels / (nanoseconds * 1e-9 * clock)
                rows.append(KernelRow("max_pool2d 2x2", case, "", name, nanoseconds * 1e-3, rate, *about))
    return [asdict(row) for row in rows]


def bounds() -> list[str]:
    """In a worker."""
    return list(binding().bounds())


def memory(*about: str) -> list[dict[str, Any]]:
    """In a worker."""
    native = binding()
    clock = native.cycles_per_second()
    rows = []
    for name, size in _FOOTPRINTS:
        rate = native.copy_rate(size, 8 if size > 1 << 24 else 50) / clock
        rows.append(asdict(MemoryRow(name, size, rate, *about)))
    return rows
