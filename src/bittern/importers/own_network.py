"""A network of others that is none of our models, as importers give it."""

from dataclasses import dataclass
from typing import Any

from bittern.models.graph import GraphNetwork, shapes


@dataclass(frozen=True)
class OwnNetwork:
    """A network of a user, in evaluation mode.

    Args:
        name: in the source.
        source: who wrote the file, such as ``"Keras"``.
        tensors: how many of the file's were used.
        warnings: what the user should know about the result.
    """

    name: str
    source: str
    network: GraphNetwork
    tensors: int
    warnings: tuple[str, ...] = ()

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        return self.network.graph.input_shape

    @property
    def options(self) -> dict[str, Any]:
        """``num_classes`` of a network that gives rows."""
        output = shapes(self.network.graph)[self.network.graph.output]
        return {"num_classes": output[1]} if len(output) == 2 else {}
