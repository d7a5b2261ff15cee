"""Images in Hugging Face's parquet layout: ``{split}-00000-of-00001.parquet``, encoded images and labels in columns."""

import json
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from bittern._files import open_file
from bittern._image_files import convert, open_image
from bittern.data.dataset import Split
from bittern.data.errors import DataError, holds
from bittern.data.samples import Progress

_SHARD = re.compile(r"-(\d+)-of-(\d+)\.parquet$")
_MODES = {1: "L", 3: "RGB"}
_REPORT_EVERY = 500  # images
_BATCH = 256  # rows that are held encoded: a small file may repeat a large image many times


class ParquetSplit:
    """The shards of one split, opened and checked but not decoded.

    Args:
        image_column: a struct with the encoded file in ``bytes``, or the encoded file itself.
        label_column: integers, indices into ``class_names``.
        class_names: must equal the names in the files' schema, if it has any.
        shape: (C, H, W) that every image must have; C is 1 (grey) or 3 (RGB).

    Raises:
        DataError: shards are missing or incomplete, columns are missing, or the classes differ.
    """

    def __init__(
        self,
        folder: Path,
        split: str,
        *,
        image_column: str,
        label_column: str,
        class_names: tuple[str, ...],
        shape: tuple[int, int, int],
    ) -> None:
        self._split = split
        self._columns = (image_column, label_column)
        self._class_names = class_names
        self._shape = shape
        self._files = [(path, self._open(path)) for path in _shards(folder, split)]
        self.rows: int = sum(file.metadata.num_rows for _, file in self._files)
        if self.rows == 0:
            raise DataError(f"{folder}/{split}-*.parquet holds no images; download it again")

    def _open(self, path: Path) -> pq.ParquetFile:
        try:
            with open_file(path):  # a pipe would let Arrow wait for ever
                file = pq.ParquetFile(path)
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{path} is not a complete parquet file ({error}); download it again") from error
        schema = file.schema_arrow
        missing = [c for c in self._columns if c not in schema.names]
        if missing:
            raise DataError(f"{path} has no column {', '.join(map(repr, missing))}; its columns are {schema.names}")
        names = _class_names(schema, self._columns[1])
        if names is not None and names != self._class_names:
            raise DataError(f"{path} has the classes {list(names)}, expected {list(self._class_names)}")
        return file

    def decode(self, progress: Progress | None = None) -> Split:
        """Every image as uint8 [N, C, H, W]; DataError names the row that cannot be decoded."""
        channels, height, width = self._shape
        try:
            images = np.empty((self.rows, height, width, channels), np.uint8)
            labels = np.empty(self.rows, np.int64)
        except (ValueError, MemoryError) as error:
            raise DataError(f"{self._files[0][0]} and its like declare {self.rows} images: {error}") from error
        row = 0
        for path, file in self._files:
            try:
                for batch in file.iter_batches(_BATCH, columns=list(self._columns)):
                    encoded, numbers = (batch.column(c).to_pylist() for c in self._columns)
                    for offset, (image, label) in enumerate(zip(encoded, numbers, strict=True)):
                        images[row + offset] = self._pixels(image).reshape(height, width, channels)
                        labels[row + offset] = self._label(label)
                        if progress and (row + offset) % _REPORT_EVERY == 0:
                            progress(f"decoding {self._split}", row + offset, self.rows)
                    row += len(numbers)
            except (pa.ArrowException, OSError, ValueError) as error:
                raise DataError(f"{path}: cannot read image {row} or one soon after: {error}") from error
        if progress:
            progress(f"decoding {self._split}", self.rows, self.rows)
        return Split(torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(labels))

    def _pixels(self, encoded: object) -> np.ndarray:
        content = encoded.get("bytes") if isinstance(encoded, dict) else encoded
        if not isinstance(content, bytes):
            raise ValueError(f"column {self._columns[0]!r} holds no image bytes")
        channels, height, width = self._shape
        with open_image(content) as image:
            if image.size != (width, height):
                raise ValueError(f"an image of {image.width} x {image.height} pixels, expected {width} x {height}")
            return np.asarray(convert(image, _MODES[channels]))

    def _label(self, label: object) -> int:
        if not isinstance(label, int) or not 0 <= label < len(self._class_names):
            raise ValueError(f"label must be 0..{len(self._class_names) - 1}, got {label!r}")
        return label


def _shards(folder: Path, split: str) -> list[Path]:
    """Every shard of ``split``, in order; DataError if one is missing or they are of two sets."""
    paths = sorted(folder.glob(f"{split}-*.parquet"))
    if not paths:
        raise DataError(f"no {split}-*.parquet in {folder} ({holds(folder)}); expected Hugging Face's parquet layout")
    matches = {path: _SHARD.search(path.name) for path in paths}
    sets = {m and (m.string[: m.start()], m[2]): path for path, m in matches.items()}
    if len(sets) > 1:
        one, other, *_ = sets.values()
        raise DataError(f"{one} and {other.name} belong to different sets of shards; keep one set for {split}")
    numbered = [m for m in matches.values() if m]
    for total in {int(m[2]) for m in numbered}:
        missing = sorted(set(range(total)) - {int(m[1]) for m in numbered})
        if missing:
            raise DataError(f"{folder} lacks shards {missing} of the {total} of {split}-*.parquet; download them")
    return paths


def _class_names(schema: pa.Schema, label_column: str) -> tuple[str, ...] | None:
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return tuple(features[label_column]["names"])
    except (KeyError, TypeError, ValueError):
        return None
