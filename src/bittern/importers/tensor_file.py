"""The tensors of a file before they are in memory: names and shapes now, numbers on request."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class LazyTensor:
    """One tensor of a file; ``read`` loads it, in the file's layout and dtype."""

    shape: tuple[int, ...]
    read: Callable[[], Tensor]


@dataclass(frozen=True)
class TensorFile:
    """A file's tensors by name, in the file's order.

    ``layers``: for Keras, which identifies weights by the order of their layers, the name of every layer, also of those
    without weights, and its tensors' names without that prefix. Empty for PyTorch.

    ``config``: of Keras files that have it, the JSON that describes the whole network.
    """

    tensors: Mapping[str, LazyTensor]
    layers: tuple[tuple[str, tuple[str, ...]], ...] = ()
    config: str | None = None
