"""A program in C++ finds Bittern by CMake, and gives the logits that Python's engine gives, without noise."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("executorch")
import executorch

from bittern.runtime import _engine, load
from native.sanitized import ROOT, run, tool
from runtime.programs import example, small_program, write

LIBRARIES = Path(_engine.__file__).resolve().parent / "lib"
HEADERS = Path(*executorch.__path__) / "include"


def test_a_program_of_six_lines_of_cmake_runs_a_model(tmp_path: Path) -> None:
    prefix, build = tmp_path / "prefix", tmp_path / "build"
    shutil.copytree(LIBRARIES, prefix / "lib")
    (prefix / "include").symlink_to(HEADERS)
    package = prefix / "lib" / "cmake" / "bittern"
    package.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "native" / "cmake" / "bitternConfig.cmake", package)
    run(tool("cmake"), "-S", ROOT / "examples" / "cpp", "-B", build, f"-Dbittern_ROOT={prefix}")
    run(tool("cmake"), "--build", build)
    model, images = write(tmp_path / "net.pte", small_program(1)), example(1).numpy()
    memory = np.ascontiguousarray(images.transpose(0, 2, 3, 1)).tobytes()
    done = subprocess.run([build / "run", model], input=memory, capture_output=True, check=True)
    assert done.stderr == b""
    logits = np.array([np.float32(line) for line in done.stdout.split()])
    np.testing.assert_array_equal(logits, load(model)(images)[0])
