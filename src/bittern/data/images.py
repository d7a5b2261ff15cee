"""Image folders: ``train/CLASS/*.jpg`` and ``test/CLASS/*.jpg``, or ``val`` for ``test``."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bittern.data.errors import DataError, holds, some
from bittern.data.samples import ENCODINGS, Listing, Location, Progress

TEST_NAMES = ("test", "val")
"""What the test split may be called in a data folder."""


@dataclass(frozen=True)
class ImageFiles:
    """The image files of a split; ``names`` are paths in ``folder``, bytes of fixed width to keep millions compact."""

    folder: Path
    names: npt.NDArray[np.bytes_]
    labels: npt.NDArray[np.int64]
    notes: tuple[tuple[str, str], ...] = ()

    def name(self, index: int) -> str:
        return f"{self.folder.name}/{os.fsdecode(self.names[index])}"

    def locate(self, index: int) -> Location:
        return Location(os.path.join(self.folder, os.fsdecode(self.names[index])), 0, -1)


def index_images(folder: Path, splits: tuple[str, ...], progress: Progress | None) -> Listing:
    """Every image file of ``splits``; the class folders of ``train``, sorted by name, number the labels.

    Links are followed, and each folder is read once in a split. Below a class, links to another class, to another split
    or to a folder that the split lies in are left out: they would give one class the images of all. The listing's notes
    say what was left out.

    Raises:
        DataError: a split's folder is missing or has no class folders, a class of ``train`` has no images, two are one
            folder, a name is not UTF-8, or another split has a class that ``train`` lacks.
    """
    train = _split_folder(folder, ("train",))
    class_names = tuple(_class_folders(train))
    splits_of = [place for name in ("train", *TEST_NAMES) if (place := folder / name).is_dir()]
    listed: dict[str, ImageFiles] = {}
    for split in splits:
        root = train if split == "train" else _split_folder(folder, TEST_NAMES)
        here = _class_folders(root)
        unknown = sorted(set(here) - set(class_names))
        if unknown:
            raise DataError(
                f"{root} has class folders that {train} lacks: {some(unknown)}; train must have every class"
            )
        walk = _Walk(root, here, splits_of)
        names: list[bytes] = []
        labels: list[int] = []
        for label, class_name in enumerate(class_names):
            found = walk.images(class_name) if class_name in here else []
            if split == "train" and not found:
                raise DataError(
                    f"{root / class_name} holds no image files ({', '.join(sorted(ENCODINGS))}); "
                    "each class needs at least one"
                )
            names += found
            labels += [label] * len(found)
            if progress:
                progress(f"listing {split}", label + 1, len(class_names))
        if not names:
            raise DataError(f"{root} holds no image files ({', '.join(sorted(ENCODINGS))})")
        listed[split] = ImageFiles(root, np.array(names), np.array(labels, np.int64), tuple(walk.notes))
    return Listing(class_names, listed)


def _split_folder(folder: Path, names: tuple[str, ...]) -> Path:
    for name in names:
        if (folder / name).is_dir():
            return folder / name
    raise DataError(
        f"{folder} has no folder {' or '.join(map(repr, names))} ({holds(folder)}); "
        "expected train/CLASS/*.jpg and test/CLASS/*.jpg or val/CLASS/*.jpg"
    )


def _class_folders(root: Path) -> list[str]:
    names = sorted(place.name for place in _folders(root))
    if not names:
        raise DataError(f"{root} has no class folders ({holds(root)}); expected {root.name}/CLASS/*.jpg")
    for name in names:
        if "?" not in name and b"?" in name.encode(errors="replace"):
            raise DataError(f"{root} has a class folder whose name is not UTF-8, {os.fsencode(name)!r}: rename it")
    return names


class _Walk:
    """Finds the image files of a split, below the folders of its classes ``names``; ``splits``: folders of all splits.

    ``notes``: (file, reason) of what was left out.
    """

    def __init__(self, root: Path, names: list[str], splits: list[Path]) -> None:
        self._root = root
        self.notes: list[tuple[str, str]] = []
        classes = {name: _identity(root / name) for name in names}
        if len(set(classes.values())) < len(names):
            first, second = next((a, b) for a in names for b in names if a < b and classes[a] == classes[b])
            raise DataError(f"{root / first} and {root / second} are the same folder; each class needs its own")
        whole = root.resolve()
        self._seen = {_identity(place) for place in (whole, *whole.parents)}
        self._kept_apart = {_identity(place) for split in splits for place in (split, *_folders(split))}

    def images(self, class_name: str) -> list[bytes]:
        """Paths relative to the split of the images below a class, sorted, without hidden files."""
        found: list[bytes] = []
        waiting = [class_name]
        while waiting:
            at = waiting.pop()
            try:
                identity = _identity(self._root / at)
                entries = sorted(os.scandir(self._root / at), key=lambda entry: entry.name)
            except OSError as error:
                self._leave_out(at, f"cannot be listed: {error.strerror}")
                continue
            if identity in self._seen or (at != class_name and identity in self._kept_apart):
                self._leave_out(at, "is a link to a folder that is read elsewhere, or that this one is in")
                continue
            self._seen.add(identity)
            for entry in entries:
                name = f"{at}/{entry.name}"
                if entry.name.startswith("."):
                    continue
                if _is(entry.is_dir):
                    waiting.append(name)
                elif os.path.splitext(entry.name)[1].lower() not in ENCODINGS:
                    continue
                elif _is(entry.is_file):
                    found.append(os.fsencode(name))
                else:
                    self._leave_out(name, "is no file: a pipe, a device, or a link to nothing")
        return sorted(found)

    def _leave_out(self, name: str, reason: str) -> None:
        self.notes.append((f"{self._root.name}/{name}", reason))


def _folders(place: Path) -> list[Path]:
    return [place / e.name for e in os.scandir(place) if _is(e.is_dir) and not e.name.startswith(".")]


def _is(kind: Callable[[], bool]) -> bool:
    """``kind()`` of a directory's entry; False for a link that leads to itself, which the system refuses to follow."""
    try:
        return kind()
    except OSError:
        return False


def _identity(folder: Path) -> tuple[int, int]:
    """Device and inode, which all links to a folder share."""
    found = folder.stat()
    return found.st_dev, found.st_ino
