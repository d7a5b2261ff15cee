"""Kernels and operators in a sanitized process (`native.sanitized_process`): builds the binding, passes calls on."""

import fcntl
import functools
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from native.sanitized_process import LENGTH, Strided

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "sanitize"


class NativeError(Exception):
    """A native call failed: with an error line of ExecuTorch's log, or the message of a Python exception."""


FAMILIES = ("conv2d", "conv2d_weight_only", "pack", "max_pool2d")
"""Of kernels; conv2d holds conv2d_lookup and conv2d_pairs."""


@functools.cache
def build() -> Path:
    """Brings the sanitized test binding up to date; returns the folder that holds it.

    Raises:
        RuntimeError: a tool is missing, or the binding does not compile.
    """
    BUILD.mkdir(parents=True, exist_ok=True)
    with (BUILD / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one test process builds, others wait
        return _build()


def _build() -> Path:
    compiler = shutil.which(os.environ.get("CXX", "c++"))
    if compiler is None:
        raise RuntimeError("the native tests need a C++17 compiler: apt-get install g++")
    if not (BUILD / "build.ninja").exists():
        nanobind = subprocess.check_output([sys.executable, "-m", "nanobind", "--cmake_dir"], text=True).strip()
        options = [f"-DPython_EXECUTABLE={sys.executable}", f"-Dnanobind_DIR={nanobind}", "-DCMAKE_BUILD_TYPE=Debug"]
        options += ["-DBITTERN_TESTS=ON", "-DBITTERN_SANITIZE=ON", f"-DCMAKE_CXX_COMPILER={compiler}"]
        run(tool("cmake"), "-S", ROOT / "native", "-B", BUILD, "-G", "Ninja", *options)
    run(tool("cmake"), "--build", BUILD, "--parallel", str(os.cpu_count() or 1))
    return BUILD / "tests"


def tool(name: str) -> Path:
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise RuntimeError(f"the native tests need {name}: pip install {name}")
    return Path(found)


def run(*command: object) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False, env={**os.environ, "PATH": path}
    )
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} failed while building the native tests:\n{done.stdout}{done.stderr}")


@dataclass(frozen=True)
class Call:
    """A call of the operator ``bittern::{name}.out``. ``outputs`` keep their contents.

    An output that is also among the inputs is computed in place.
    """

    name: str
    inputs: Sequence[object]
    outputs: Sequence[NDArray[Any]]
    threads: int = 1


class Native:
    """Functions of the test binding in a sanitized process. A sanitizer's report ends it and fails the call."""

    def __init__(self, folder: Path, isa: str | None) -> None:
        self._folder, self._isa = folder, isa
        self._process: subprocess.Popen[bytes] | None = None
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115

    def __getattr__(self, function: str) -> Any:
        return lambda *arguments, **keywords: self._call(function, arguments, keywords)

    @property
    def isa(self) -> str | None:
        """The BITTERN_ISA it was started with; None: the fastest."""
        return self._isa

    def operator(
        self, name: str, inputs: list[object], outputs: list[NDArray[Any]], *, threads: int = 1
    ) -> list[NDArray[Any]]:
        """Calls ``bittern::{name}.out``; arrays keep their order of memory. Returns the outputs."""
        return self.operators([Call(name, inputs, outputs, threads)])[0]

    def operators(self, calls: Sequence[Call]) -> list[list[NDArray[Any]]]:
        """Runs several calls in one round trip, up to the first that fails. Arrays that calls share are sent once."""
        sent: dict[int, Strided] = {}

        def send(x: object) -> object:
            return sent.setdefault(id(x), Strided.of(x)) if isinstance(x, np.ndarray) else x

        def send_output(x: NDArray[Any], call: Call) -> Strided:
            return sent[id(x)] if any(x is given for given in call.inputs) else Strided.of(x)

        requests = [
            (
                f"bittern::{call.name}.out",
                [send(x) for x in call.inputs],
                [send_output(x, call) for x in call.outputs],
            )
            for call in calls
        ]
        threads = [call.threads for call in calls]
        results: list[list[Strided]] = self.call_operators(requests, threads)
        return [[result.array() for result in outputs] for outputs in results]

    def close(self) -> None:
        if self._process is not None:
            with self._process:  # closes the pipes, which ends the process
                pass
        self._process = None
        self._errors.close()

    def _call(self, function: str, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        status, *answer = pickle.loads(self._exchange(function, pickle.dumps((function, arguments, keywords))))
        if status == "ok":
            return answer[0]
        raise NativeError(f"{answer[0]}: {answer[1]}")

    def _exchange(self, function: str, request: bytes) -> bytes:
        """The process's answer. AssertionError with what it left on stderr if it ends instead."""
        process = self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(LENGTH.pack(len(request)) + request)
            process.stdin.flush()
            header = process.stdout.read(LENGTH.size)
        except BrokenPipeError:
            header = b""
        if len(header) < LENGTH.size:
            self._process = None
            with process:
                status = process.wait()
            self._errors.seek(0)
            report = self._errors.read().decode(errors="replace")
            raise AssertionError(f"{function} ended the native process (status {status}):\n{report}")
        return process.stdout.read(LENGTH.unpack(header)[0])

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._errors.seek(0)
            self._errors.truncate()
            self._process = subprocess.Popen(
                self._command(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env=self._environment(),
            )
        return self._process

    def _command(self) -> list[str]:
        return [sys.executable, str(Path(__file__).with_name("sanitized_process.py")), str(self._folder)]

    def _environment(self) -> dict[str, str]:
        # libstdc++ must be there when AddressSanitizer starts, or it cannot follow exceptions. numpy's and Python's own
        # memory comes from malloc, so that it is watched too.
        preload = [_library(name) for name in ("libasan.so", "libubsan.so", "libstdc++.so.6")]
        environment = {
            **os.environ,
            "LD_PRELOAD": " ".join(preload),
            "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1",
            "UBSAN_OPTIONS": "print_stacktrace=1",
            "PYTHONMALLOC": "malloc",
            "PYTHONPATH": os.pathsep.join(p for p in (str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")) if p),
        }
        environment.pop("BITTERN_ISA", None)
        return environment if self._isa is None else {**environment, "BITTERN_ISA": self._isa}


@dataclass(frozen=True)
class Listed:
    """What the test binding is made of: kIsas, fastest first, and the rows of each family's kernels.inc.

    Values are the feature bits that a set or a kernel needs.
    """

    isas: dict[str, int]
    rows: dict[str, dict[str, int]]


@functools.cache
def listed() -> Listed:
    """Asks the test binding, which is built if need be (`build`)."""
    native = Native(build(), None)
    try:
        return Listed(native.isas(), {family: dict(getattr(native, f"{family}_kernels")()) for family in FAMILIES})
    finally:
        native.close()


def _library(name: str) -> str:
    compiler = os.environ.get("CXX", "c++")
    return subprocess.check_output([compiler, f"-print-file-name={name}"], text=True).strip()


def fresh(shape: tuple[int, ...], dtype: type[np.generic], *, channels_last: bool = False) -> NDArray[Any]:
    """An output full of a value that no operator writes by accident; ``channels_last`` for [N, C, H, W]."""
    filler = np.nan if dtype is np.float32 else 0x5A5A5A5A
    if channels_last:
        n, c, h, w = shape
        return np.full((n, h, w, c), filler, dtype).transpose(0, 3, 1, 2)
    return np.full(shape, filler, dtype)
