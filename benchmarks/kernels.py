"""Times every row of the kernels' lists on the layers of a ResNet: ``make bench``.

One kernel call at a time, single-threaded, packed input without padding to packed or float output, the shortest of many
calls. MAC/cycle uses the core's clock, measured beside it; it is an estimate where the clock changes with the load.
"""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build" / "bench"

SHAPES = [(56, 64, 3), (28, 128, 3), (14, 256, 3), (7, 512, 3), (56, 64, 1), (14, 256, 1)]
"""Height and width, channels in and out, kernel."""


def build() -> Any:
    """The test binding, optimised and without sanitizers."""
    bin_folder = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{bin_folder}{os.pathsep}{os.environ.get('PATH', '')}"}
    nanobind = subprocess.check_output([sys.executable, "-m", "nanobind", "--cmake_dir"], text=True).strip()
    configure = ["cmake", "-S", ROOT / "native", "-B", BUILD, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release"]
    configure += ["-DBITTERN_TESTS=ON", f"-DPython_EXECUTABLE={sys.executable}", f"-Dnanobind_DIR={nanobind}"]
    for command in (configure, ["cmake", "--build", BUILD]):
        subprocess.run([str(part) for part in command], check=True, env=environment, stdout=subprocess.DEVNULL)
    (library,) = (BUILD / "tests").glob("_bittern_native_tests*.so")
    spec = importlib.util.spec_from_file_location("_bittern_native_tests", library)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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


def other_families(native: Any, supported: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    """pack, unpack, binarize and max_pool2d on 56 x 56 pixels of 64 and of 256 channels, by row of their lists."""
    rows = []
    for channels in (64, 256):
        times: dict[tuple[str, str], float] = {}
        for name, flags in native.pack_kernels():
            if not flags & ~supported:
                for family, nanoseconds in native.pack_times(name, 56 * 56, channels, options.repeats).items():
                    times[family, name] = nanoseconds
        for name, flags in native.max_pool2d_kernels():
            if not flags & ~supported:
                times["max_pool2d 2x2", name] = native.max_pool2d_time(name, 56, channels // 32, options.repeats)
        for (family, name), nanoseconds in sorted(times.items()):
            rate = 56 * 56 * channels / nanoseconds
            row = {"family": family, "channels": channels, "kernel": name}
            rows.append({**row, "microseconds": nanoseconds / 1e3, "values_per_nanosecond": rate})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kernel", help="only the row of this name, such as x86_avx2")
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    native = build()
    supported = native.detect_arch_flags()
    names = [name for name, flags in native.conv2d_kernels() if not flags & ~supported]
    if options.kernel is not None:
        if options.kernel not in names:
            parser.error(f"--kernel must be one of {', '.join(names)}, got {options.kernel}")
        names = [options.kernel]
    rows = []
    for size, channels, kernel in SHAPES:
        for output in ("float", "bits", "residual"):
            operands = arguments(size, channels, kernel, output)
            macs = size * size * channels * channels * kernel * kernel
            for name in names:
                repeats = options.repeats if name != "portable" else max(1, options.repeats // 20)
                nanoseconds = native.conv2d(name, operands, 0, size * size, repeats)[2]
                cycles = nanoseconds * 1e-9 * native.cycles_per_second()
                shape = f"{size}x{size}x{channels}, {kernel}x{kernel}"
                rows.append(
                    {
                        "layer": shape,
                        "output": output,
                        "kernel": name,
                        "microseconds": nanoseconds / 1e3,
                        "macs_per_cycle": macs / cycles,
                    }
                )
    others = other_families(native, supported, options)
    if options.json:
        print(json.dumps({"conv2d": rows, "others": others}, indent=1))
        return
    print(f"{'layer':18} {'output':9} {'kernel':22} {'us':>9} {'MAC/cycle':>10}")
    for row in rows:
        print(
            f"{row['layer']:18} {row['output']:9} {row['kernel']:22} "
            f"{row['microseconds']:9.1f} {row['macs_per_cycle']:10.0f}"
        )
    print(f"\n{'56x56 pixels':18} {'channels':9} {'kernel':22} {'us':>9} {'values/ns':>10}")
    for row in others:
        print(
            f"{row['family']:18} {row['channels']:<9} {row['kernel']:22} "
            f"{row['microseconds']:9.1f} {row['values_per_nanosecond']:10.1f}"
        )


if __name__ == "__main__":
    main()
