"""The list of data sets."""

from pathlib import Path

from bittern._lookup import find
from bittern.data.cifar10 import CIFAR10
from bittern.data.dataset import SPLITS, DataError, DatasetInfo, Progress, Split
from bittern.data.digits import DIGITS

_DATASETS: dict[str, DatasetInfo] = {row.name: row for row in (CIFAR10, DIGITS)}


def list_datasets() -> list[str]:
    """Every name that ``load`` knows, sorted."""
    return sorted(_DATASETS)


def get_dataset(name: str) -> DatasetInfo:
    """The row of ``name``; ValueError with the known names and the nearest if there is none."""
    return find("data set", name, _DATASETS)


def load(
    name: str,
    folder: str | Path | None = None,
    splits: tuple[str, ...] = SPLITS,
    progress: Progress | None = None,
) -> dict[str, Split]:
    """The splits of data set ``name`` from ``folder``, decoded into memory.

    Raises:
        DataError: the folder is missing, empty, half-written or holds something else. Files are checked before any is
            decoded.
    """
    info = get_dataset(name)
    for split in splits:
        if split not in SPLITS:
            raise ValueError(f"split must be one of {', '.join(map(repr, SPLITS))}, got {split!r}")
    if not info.needs_folder:
        return info.load(None, splits, progress)
    if folder is None:
        raise DataError(f"data set {name!r} is read from a folder: name it (--data DIR)")
    path = Path(folder)
    if not path.is_dir():
        what = "is a file" if path.exists() else "does not exist"
        raise DataError(f"data folder {path} {what}; {name!r} needs a folder with {info.source}")
    return info.load(path, splits, progress)
