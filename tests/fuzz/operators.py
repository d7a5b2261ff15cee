"""Builds and runs native/fuzz, the fuzzer of operators."""

import fcntl
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from native.sanitized import ROOT, run, tool

SOURCES, BUILD = ROOT / "native" / "fuzz", ROOT / "build" / "fuzz"
CORPUS = SOURCES / "corpus"
"""Small inputs that reach most of the code. Findings are kept as tests, not here."""

INPUT_BYTES = 128
CLANG = "apt-get install clang libclang-rt-14-dev, or the packages of the version that CLANGXX names"


class MissingError(Exception):
    """This machine cannot build the fuzzer; the message says which package is missing."""


class FindingError(Exception):
    """A fuzzer's finding, and how to reproduce it."""


def build() -> Path:
    """Brings the fuzzer up to date; returns the program.

    Raises:
        MissingError: there is no clang with libFuzzer and sanitizers here.
        RuntimeError: the fuzzer does not compile.
    """
    compiler = shutil.which(os.environ.get("CLANGXX", "clang++"))
    if compiler is None:
        raise MissingError(f"the fuzzer needs clang++: {CLANG}")
    BUILD.mkdir(parents=True, exist_ok=True)
    with (BUILD / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one process builds, others wait
        if not (BUILD / "build.ninja").exists():
            _check_libraries(compiler)
            options = [f"-DCMAKE_CXX_COMPILER={compiler}", f"-DPython_EXECUTABLE={sys.executable}"]
            run(tool("cmake"), "-S", SOURCES, "-B", BUILD, "-G", "Ninja", *options)
        run(tool("cmake"), "--build", BUILD, "--parallel", str(os.cpu_count() or 1))
    return BUILD / "fuzz_operators"


def _check_libraries(compiler: str) -> None:
    empty = 'extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, unsigned long) { return 0; }'
    command = [compiler, "-fsanitize=fuzzer,address,undefined", "-x", "c++", "-", "-o", str(BUILD / "empty")]
    done = subprocess.run(command, input=empty, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise MissingError(f"the fuzzer needs clang's libFuzzer and sanitizers: {CLANG}")


def fuzz(program: Path, found: Path, seconds: int, *options: str) -> int:
    """Fuzzes for ``seconds``, starting from CORPUS and ``found``, where new inputs go; returns the number of calls.

    Raises:
        FindingError: with the report; the input is kept in build/fuzz.
    """
    found.mkdir(parents=True, exist_ok=True)
    limits = [f"-max_total_time={seconds}", f"-max_len={INPUT_BYTES}", "-len_control=0", "-rss_limit_mb=2048"]
    limits += ["-timeout=30", "-print_final_stats=1", f"-artifact_prefix={BUILD}/"]
    return _calls(program, *limits, *options, str(found), str(CORPUS))


def replay(program: Path) -> int:
    """Runs every input of CORPUS once; returns how many."""
    return _calls(program, "-runs=0", "-print_final_stats=1", f"-artifact_prefix={BUILD}/", str(CORPUS))


def _calls(program: Path, *arguments: str) -> int:
    environment = {**os.environ, "UBSAN_OPTIONS": "print_stacktrace=1"}
    # libFuzzer's limit of memory counts what the process that starts it has had, which here is a small one.
    command = ["sh", "-c", '"$@"; exit $?', "sh", str(program), *arguments]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, errors="replace", check=False, env=environment)
    report = [
        line for line in done.stderr.splitlines() if not re.match(r"#\d+\t(NEW|REDUCE|pulse|RELOAD)|\tNEW_FUNC", line)
    ]
    if done.returncode != 0:
        inputs = re.findall(r"Test unit written to (\S+)", done.stderr)
        again = f"again: {program} {inputs[-1]}" if inputs else f"status {done.returncode}"
        raise FindingError("\n".join([f"the fuzzer of operators found something ({again})", *report[-60:]]))
    (count,) = re.findall(r"number_of_executed_units: (\d+)", done.stderr)
    return int(count)
