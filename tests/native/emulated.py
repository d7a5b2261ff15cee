"""The operators on aarch64: a driver program (native/tests/driver.cc) under qemu's user emulation.

It is compiled as the engine is shipped, without sanitizers. `Emulated` replaces `Native` in tests that call operators
alone.
"""

import fcntl
import os
import shutil
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from native.sanitized import ROOT, Native, NativeError, run, tool
from native.sanitized_process import Strided

BUILD = ROOT / "build" / "aarch64"
TOOLCHAIN = ROOT / "native" / "cmake" / "aarch64-linux-gnu.cmake"
LIBRARIES = "/usr/aarch64-linux-gnu"
"""Where the cross-compiler's packages put the C and C++ libraries of the target."""

CPUS = {"neon": "cortex-a72", "neondotprod": "neoverse-n1", "portable": "cortex-a72"}
"""Instruction set -> the CPU of qemu's that runs it: one without and one with the dot product instructions."""


class MissingError(Exception):
    """This machine cannot build or run code for aarch64; the message says which package is missing."""


def build() -> Path:
    """Brings the driver for aarch64 up to date; returns the folder that holds it.

    Raises:
        MissingError: there is no cross-compiler, qemu or ExecuTorch for aarch64 here.
        RuntimeError: the driver does not compile.
    """
    for program, package in (("aarch64-linux-gnu-g++", "g++-aarch64-linux-gnu"), ("qemu-aarch64", "qemu-user")):
        if shutil.which(program) is None:
            raise MissingError(f"tests for aarch64 need {program}: apt-get install {package}")
    BUILD.mkdir(parents=True, exist_ok=True)
    with (BUILD / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one test process builds, others wait
        _build()
    return BUILD / "tests"


def _build() -> None:
    if not (BUILD / "build.ninja").exists():
        options = [f"-DCMAKE_TOOLCHAIN_FILE={TOOLCHAIN}", f"-DPython_EXECUTABLE={sys.executable}"]
        options += ["-DCMAKE_BUILD_TYPE=Release", "-DBITTERN_PYTHON=OFF", "-DBITTERN_TESTS=ON"]
        try:
            run(tool("cmake"), "-S", ROOT / "native", "-B", BUILD, "-G", "Ninja", *options)
        except RuntimeError as error:
            if "pip cannot download its wheel" in str(error):
                raise MissingError(f"tests for aarch64 need ExecuTorch's wheel for it: {error}") from error
            raise
    run(tool("cmake"), "--build", BUILD, "--parallel", str(os.cpu_count() or 1))


@dataclass(frozen=True)
class About:
    """``isas``: all of aarch64, fastest first; ``supported``: those of one CPU; ``kernels``: what it uses."""

    isas: list[str]
    supported: list[str]
    kernels: list[str]


def about(folder: Path, cpu: str) -> About:
    """What the driver says of itself on a CPU of qemu's."""
    lines = _output(folder / "bittern_driver", "--about", cpu=cpu).decode().splitlines()
    return About(*(line.split() for line in lines))


def run_model(folder: Path, isa: str, path: Path, memory: bytes) -> str:
    """What examples/cpp/run.cc prints for a model file and the bytes of its input."""
    return _output(folder / "bittern_run", str(path), cpu=CPUS[isa], isa=isa, stdin=memory).decode()


def _output(program: Path, *arguments: str, cpu: str, isa: str | None = None, stdin: bytes = b"") -> bytes:
    done = subprocess.run(
        [*_qemu(cpu), str(program), *arguments], input=stdin, capture_output=True, check=False, env=_environment(isa)
    )
    if done.returncode != 0:
        raise AssertionError(f"{program.name} failed (status {done.returncode}): {done.stderr.decode()}")
    return done.stdout


def _qemu(cpu: str) -> list[str]:
    return ["qemu-aarch64", "-cpu", cpu]


def _environment(isa: str | None) -> dict[str, str]:
    environment = {**os.environ, "QEMU_LD_PREFIX": LIBRARIES}
    return environment if isa is None else {**environment, "BITTERN_ISA": isa}


class Emulated(Native):
    """Operators on aarch64 with BITTERN_ISA set; ``isa`` is one of `CPUS`."""

    def __init__(self, folder: Path, isa: str, cpu: str | None = None) -> None:
        super().__init__(folder, isa)
        self._cpu = cpu or CPUS[isa]

    def _call(self, function: str, arguments: tuple[Any, ...], _: dict[str, Any]) -> Any:
        assert function == "call_operators", f"the driver calls operators, it cannot {function}"
        requests, threads = arguments
        calls = zip(requests, threads, strict=True)
        return [self._run(name, inputs, outputs, count) for (name, inputs, outputs), count in calls]

    def _run(self, name: str, inputs: list[object], outputs: list[Strided], threads: int) -> list[Strided]:
        answer = self._exchange(name, _request(name, inputs, outputs, threads))
        ok, data = answer[0], bytearray(answer[1:])  # of which tests may change the results
        if not ok:
            raise NativeError(data.decode())
        results, at = [], 0
        for x in outputs:
            flat = np.frombuffer(data, x.flat.dtype, x.flat.size, at)
            results.append(Strided(flat, x.shape, x.order))
            at += flat.nbytes
        return results

    def _command(self) -> list[str]:
        return [*_qemu(self._cpu), str(self._folder / "bittern_driver")]

    def _environment(self) -> dict[str, str]:
        return _environment(self._isa)


def _request(name: str, inputs: list[object], outputs: list[Strided], threads: int) -> bytes:
    values = b"".join(_value(x) for x in [*inputs, *outputs])
    letters = name.encode()
    counts = struct.pack("<3I", threads, len(outputs), len(inputs) + len(outputs))
    return struct.pack("<I", len(letters)) + letters + counts + values


def _value(x: object) -> bytes:
    """As native/tests/driver.cc reads it."""
    match x:
        case None:
            return b"n"
        case bool():
            return struct.pack("<cB", b"b", x)
        case int():
            return struct.pack("<cq", b"i", x)
        case float():
            return struct.pack("<cd", b"d", x)
        case list():
            return struct.pack(f"<cI{len(x)}q", b"l", len(x), *x)
        case Strided():
            kind, rank = {"f4": b"f", "i4": b"i", "i8": b"l"}[x.flat.dtype.str[1:]], len(x.shape)
            header = struct.pack(f"<ccI{rank}i{rank}B", b"t", kind, rank, *x.shape, *x.order)
            return header + x.flat.tobytes()
    raise TypeError(f"the driver reads no {type(x).__name__}")
