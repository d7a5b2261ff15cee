"""Image folders: ``train/CLASS/*.jpg`` and ``test/CLASS/*.jpg``, or ``val`` for ``test``."""

import os
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

    Raises:
        DataError: a split's folder is missing or has no class folders, a class of ``train`` has no images, or another
            split has a class that ``train`` lacks.
    """
    train = _split_folder(folder, ("train",))
    class_names = tuple(_class_folders(train))
    listed: dict[str, ImageFiles] = {}
    for split in splits:
        root = train if split == "train" else _split_folder(folder, TEST_NAMES)
        here = _class_folders(root)
        unknown = sorted(set(here) - set(class_names))
        if unknown:
            raise DataError(
                f"{root} has class folders that {train} lacks: {some(unknown)}; train must have every class"
            )
        names: list[bytes] = []
        labels: list[int] = []
        for label, class_name in enumerate(class_names):
            found = _image_files(root, class_name)
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
        listed[split] = ImageFiles(root, np.array(names), np.array(labels, np.int64))
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
    names = sorted(e.name for e in os.scandir(root) if e.is_dir() and not e.name.startswith("."))
    if not names:
        raise DataError(f"{root} has no class folders ({holds(root)}); expected {root.name}/CLASS/*.jpg")
    return names


def _image_files(root: Path, class_name: str) -> list[bytes]:
    """Paths relative to ``root`` of the images below the folder of a class, sorted, without hidden files."""
    found = [
        os.path.relpath(os.path.join(parent, file), root)
        for parent, _, files in os.walk(root / class_name, followlinks=True)
        for file in files
        if not file.startswith(".") and os.path.splitext(file)[1].lower() in ENCODINGS
    ]
    return sorted(map(os.fsencode, found))
