"""Where the encoded images of a split are stored."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Progress = Callable[[str, int, int], None]
"""Called as ``progress(what, done, total)`` during long work."""

ENCODINGS = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".pgm", ".ppm", ".tif", ".tiff", ".webp"})
"""Suffixes, in lower case, of the files that are taken for images."""


class Location(NamedTuple):
    """``size`` bytes at ``offset`` of the file ``path``; a ``size`` of -1 means the whole file."""

    path: str
    offset: int
    size: int


class Samples(Protocol):
    """The images of one split, by index.

    ``labels``: int64 [N]. ``notes``: (file, reason) of what was left out; the rest can be used.
    """

    @property
    def labels(self) -> npt.NDArray[np.int64]: ...

    @property
    def notes(self) -> tuple[tuple[str, str], ...]: ...

    def locate(self, index: int) -> Location: ...

    def name(self, index: int) -> str:
        """The name of an image in messages."""


@dataclass(frozen=True)
class Listing:
    """Class names, in the order of the labels, and the images of each split."""

    class_names: tuple[str, ...]
    splits: Mapping[str, Samples]
