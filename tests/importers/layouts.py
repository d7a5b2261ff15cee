"""Names and shapes of the published checkpoints, as ``generate`` took them from the sources' networks; no numbers."""

import json
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

from bittern.importers.tensor_file import LazyTensor, TensorFile

FOLDER = Path(__file__).parent / "fixtures"


def _read(name: str) -> Any:
    return json.loads(lzma.decompress((FOLDER / name).read_bytes()))


LARQ: dict[str, list[tuple[str, dict[str, list[int]]]]] = _read("larq.json.xz")
"""Our model -> every layer's name with the names and shapes of its weights."""

PYTORCH: dict[str, dict[str, list[int]]] = _read("pytorch.json.xz")
"""Our model and the checkpoint's origin -> names and shapes."""

ALL = (*LARQ, *PYTORCH)

Layers = list[tuple[str, dict[str, list[int]]]]


def layout(name: str, change: Callable[[Layers], object] = lambda layers: None) -> TensorFile:
    """A file of that layout after ``change``. PyTorch's is one layer, called ``""``."""
    layers: Layers = [(layer, dict(weights)) for layer, weights in LARQ.get(name) or [("", PYTORCH[name])]]
    change(layers)
    tensors = {
        f"{layer}/{weight}".removeprefix("/"): LazyTensor(tuple(shape), _unread)
        for layer, weights in layers
        for weight, shape in weights.items()
    }
    return TensorFile(tensors, tuple((layer, tuple(weights)) for layer, weights in layers) if name in LARQ else ())


def _unread() -> Tensor:
    raise AssertionError("names and shapes must suffice")
