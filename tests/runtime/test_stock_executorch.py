"""A model file is an ordinary ExecuTorch program: ExecuTorch's own Python runtime runs it with the operator library."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bittern.runtime import load

PROGRAM = """
import ctypes, logging, sys, warnings
warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)
import numpy, torch
from executorch.runtime import Runtime, Verification
ctypes.CDLL(sys.argv[1])
program = Runtime.get().load_program(sys.argv[2], verification=Verification.Minimal)
images = torch.from_numpy(numpy.load(sys.argv[3])).to(memory_format=torch.channels_last)
numpy.save(sys.argv[4], program.load_method("forward").execute([images])[0].numpy())
"""


def test_stock_executorch_runs_a_model_file(model: Path, tmp_path: Path) -> None:
    spec = importlib.util.find_spec("bittern.runtime._engine")
    assert spec is not None
    assert spec.origin is not None
    library = Path(spec.origin).parent / "lib" / "libbittern_operators.so"
    images = np.random.default_rng(0).normal(size=(2, 3, 8, 8)).astype(np.float32)
    np.save(tmp_path / "images.npy", images)
    command = [sys.executable, "-c", PROGRAM, library, model, tmp_path / "images.npy", tmp_path / "out.npy"]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.fail(done.stderr)
    # Both run the same kernels on one thread or more, which changes nothing.
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), load(model)(images))
