"""Files of a run: written as a whole or not at all, with an error that says how to continue."""

from pathlib import Path

from bittern import _files
from bittern.train.errors import TrainingError


def write_atomically(path: Path, content: bytes) -> None:
    """Replaces ``path`` with ``content``; creates its folder if needed.

    Raises:
        TrainingError: the disk is full or not writable. ``path`` is as it was, and no temporary file is left.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _files.write_atomically(path, content)
    except OSError as error:
        raise TrainingError(
            f"cannot write {path} of {len(content) / 1e6:.1f} MB ({error.strerror}); everything written before, the "
            "last checkpoint included, is intact. Free some space, then resume with --resume"
        ) from error
