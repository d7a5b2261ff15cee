"""The demo's folder: created, or cleared of an earlier demo's results. Other files in it are left alone."""

import shutil
from pathlib import Path

BINARY, FLOAT = "digits", "digits-float"
"""Recipes of the two networks; their run folders and model files have the same names."""
REPORT, STUDY_REPORT = "demo.html", "study.html"

_MARK = ".bittern-demo"
_RESULTS = (BINARY, FLOAT, f"{BINARY}.pte", f"{FLOAT}.pte", REPORT, STUDY_REPORT)


def claim(folder: Path) -> None:
    """Prepares ``folder`` for a demo.

    Raises:
        ValueError: it is a file, or it holds files but not the mark of an earlier demo.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file; name a folder (--out DIR)")
    mark = folder / _MARK
    if folder.is_dir() and any(folder.iterdir()) and not mark.is_file():
        raise ValueError(f"{folder} holds files of something other than a demo; name a new or empty folder (--out DIR)")
    folder.mkdir(parents=True, exist_ok=True)
    mark.touch()
    for name in _RESULTS:
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
