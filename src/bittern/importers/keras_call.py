"""What the converters of Keras layers are given: one call of a layer, its inputs and its weights."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor

from bittern._fields import Fields, short
from bittern.importers.errors import CheckpointError
from bittern.importers.graph_builder import GraphBuilder

_MAX_FEATURES = 2**20


@dataclass(frozen=True)
class Traced:
    """A result in the graph: an image [N, C, H, W], or rows [N, features].

    ``order``: for rows that come from a flattened image, ``order[i]`` is where Keras, which flattens (H, W, C), has our
    feature i; None if both are in the same order. Layers behind it permute their weights, and nothing is moved.
    """

    name: str
    order: Tensor | None = None


@dataclass(frozen=True)
class LayerCall:
    """``weight(name, shape)`` is the layer's tensor in Keras' layout; CheckpointError if it is missing or misshapen."""

    graph: GraphBuilder
    kind: str
    name: str
    config: Mapping[str, Any]
    inputs: tuple[Traced, ...]
    arguments: Mapping[str, Any]
    weight: Callable[[str, tuple[int, ...]], Tensor]

    @property
    def fields(self) -> Fields:
        return Fields(self.config, f"layer {self.name!r}")

    def shape(self) -> tuple[int, ...]:
        """Of the first input, with a batch of 1."""
        return self.graph.shape(self.inputs[0].name)

    def image(self) -> str:
        """The only input, which must be an image."""
        if len(self.inputs) != 1 or len(self.shape()) != 4:
            raise self.error(f"takes one image, got {self._given()}")
        return self.inputs[0].name

    def only(self) -> Traced:
        if len(self.inputs) != 1:
            raise self.error(f"takes one input, got {self._given()}")
        return self.inputs[0]

    def _given(self) -> str:
        return ", ".join(str(list(self.graph.shape(value.name))) for value in self.inputs)

    def error(self, text: str) -> CheckpointError:
        return CheckpointError(f"layer {self.name!r} ({self.kind}) {text}")

    def pair(self, key: str, default: int = 1) -> tuple[int, int]:
        """Two positive integers; Keras writes a single one for both, and nothing for the default."""
        value = self.config.get(key)
        value = default if value is None else value
        sizes = [value, value] if isinstance(value, int) else value
        right = isinstance(sizes, list | tuple) and len(sizes) == 2
        if not right or not all(isinstance(v, int) and not isinstance(v, bool) and 0 < v < 2**31 for v in sizes):
            raise self.error(f"has {key} {short(value)}, expected two positive integers")
        return sizes[0], sizes[1]

    def text(self, key: str, default: str, known: tuple[str, ...]) -> str:
        value = self.config.get(key, default)
        if value not in known:
            raise self.error(f"has {key} {short(value)}, expected {' or '.join(known)}")
        return str(value)

    def check_channels_last(self) -> None:
        if self.config.get("data_format") not in (None, "channels_last"):
            raise self.error(
                f"has the data_format {short(self.config['data_format'])}; build the model with channels_last (the "
                "weights are the same), load them into it and save it"
            )


def settled(graph: GraphBuilder, value: Traced) -> str:
    """``value`` with its features where Keras has them."""
    if value.order is None:
        return value.name
    order = tuple(torch.argsort(value.order).tolist())
    return graph.add(f"{value.name}_ordered", "reorder", value.name, order=order)


def flattened(graph: GraphBuilder, name: str, value: Traced) -> Traced:
    """An image as rows; rows as they are."""
    shape = graph.shape(value.name)
    if len(shape) == 2:
        return value
    channels, height, width = shape[1:]
    if prod(shape) > _MAX_FEATURES:
        raise CheckpointError(f"layer {name!r} flattens {list(shape[1:])}, more than {_MAX_FEATURES} numbers")
    rows = graph.add(name, "flatten", value.name)
    if channels == 1 or height * width == 1:
        return Traced(rows)
    keras = torch.arange(prod(shape[1:])).view(height, width, channels)
    return Traced(rows, keras.permute(2, 0, 1).flatten())
