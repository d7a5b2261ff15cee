"""Tensors of a file that are not in memory yet: shapes first, numbers when they are asked for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Stored:
    """One tensor of a file. ``read`` brings it into memory, in the file's layout and dtype."""

    shape: tuple[int, ...]
    read: Callable[[], Tensor]


@dataclass(frozen=True)
class Checkpoint:
    """A file's tensors by name, in its order.

    ``layers``: for Keras, which knows weights by the order of their layers, every layer's name and the names of its
    tensors without the layer's; layers that have none are there too. Empty for PyTorch.
    """

    tensors: Mapping[str, Stored]
    layers: tuple[tuple[str, tuple[str, ...]], ...] = ()
