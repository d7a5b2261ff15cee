"""A model file that never loads in this process.

``python -m bittern.runtime.isolated MODEL.pte``, which an `IsolatedEngine` starts first, prints the file's metadata.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bittern.runtime.child_process import ended, run_in_process
from bittern.runtime.engine import FloatArray, load
from bittern.runtime.errors import ModelFileError
from bittern.runtime.metadata import Metadata

_SECONDS = 600.0
_MAX_METADATA = 1 << 24
"""Characters of metadata that are read; a hostile file could print for ever."""


class IsolatedEngine:
    """Calls like an `Engine`'s, each in a new process, so that a file that crashes or hangs ends that process alone.

    It is no sandbox: the process has this one's rights.

    Args:
        seconds: after which a process is killed.

    Raises:
        ModelFileError: as `load`, or the process crashed or did not end.
    """

    def __init__(self, path: str | os.PathLike[str], *, threads: int = 1, seconds: float = _SECONDS) -> None:
        self.path, self.threads, self._seconds = Path(path), threads, seconds
        command = [sys.executable, "-m", "bittern.runtime.isolated", os.path.abspath(path)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds)
        except subprocess.TimeoutExpired:
            raise self._refusal(f"loading did not end within {seconds:g} s") from None
        if done.returncode != 0:
            raise self._refusal(
                done.stderr.strip().splitlines()[-1] if done.returncode == 1 else ended(done.returncode)
            )
        self.metadata = Metadata.from_json(done.stdout[:_MAX_METADATA])

    def __call__(self, images: npt.NDArray[np.float32]) -> FloatArray:
        """As `Engine.__call__`, images float32 ``[N, C, H, W]`` to the network's output ``[N, ...]``."""
        try:
            return run_in_process(self.path, images, threads=self.threads, seconds=self._seconds).logits
        except RuntimeError as error:
            raise self._refusal(str(error)) from error

    def _refusal(self, reason: str) -> ModelFileError:
        return ModelFileError(reason if str(self.path) in reason else f"{self.path}: {reason}")


def main() -> int:
    """The child process; returns its exit status."""
    try:
        print(json.dumps(load(sys.argv[1]).metadata.to_json()))
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
