"""Writes small data sets in Hugging Face's parquet layout."""

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from bittern.data import get_dataset

NAMES = list(get_dataset("cifar10").class_names)


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


def write_shard(
    path: Path,
    images: list[bytes],
    labels: list[int],
    names: list[str] | None = NAMES,
    columns: tuple[str, str] = ("img", "label"),
) -> None:
    cells = [{"bytes": image, "path": None} for image in images]
    table = pa.table({columns[0]: pa.array(cells), columns[1]: pa.array(labels, pa.int64())})
    if names is not None:
        features = {columns[0]: {"_type": "Image"}, columns[1]: {"names": names, "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, path, row_group_size=4)


def pixels_of(count: int, seed: int = 0, size: int = 32) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), np.uint8)


def write_cifar10(folder: Path, train: int, test: int) -> None:
    """Both splits, of random images with labels in turn."""
    for split, count, seed in (("train", train, 0), ("test", test, 1)):
        images = [png(p) for p in pixels_of(count, seed)]
        write_shard(folder / f"{split}-00000-of-00001.parquet", images, [i % 10 for i in range(count)])
