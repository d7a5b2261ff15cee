"""Builds a ``GraphNetwork`` layer by layer, with its weights: what every importer of own networks writes into."""

import math
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from bittern.importers.errors import CheckpointError
from bittern.models.graph import INPUT, MAX_LAYERS, GraphNetwork, GraphNode, LayerGraph, is_free, shape_of


class GraphBuilder:
    """``add`` appends a layer and returns the name of its result, whose shape ``shape`` knows.

    Args:
        input_shape: (C, H, W).
    """

    def __init__(self, input_shape: tuple[int, int, int]) -> None:
        self._input_shape = input_shape
        self._layers: list[GraphNode] = []
        self._shapes: dict[str, tuple[int, ...]] = {INPUT: (1, *input_shape)}
        self._state: dict[str, Tensor] = {}

    def shape(self, value: str) -> tuple[int, ...]:
        """Of ``value`` for one image, the batch of 1 included."""
        return self._shapes[value]

    def add(
        self,
        name: str,
        operator: str,
        *inputs: str,
        weights: Mapping[str, Tensor | None] | None = None,
        **attributes: Any,
    ) -> str:
        """``name`` is the source's; it is changed where a module cannot have it, or where it is taken.

        Raises:
            CheckpointError: the operator does not take these shapes, or the weights are no finite floats.
        """
        if len(self._layers) >= MAX_LAYERS:
            raise CheckpointError(f"the network has more than {MAX_LAYERS} operations")
        infinite = [key for key, v in attributes.items() if isinstance(v, float) and not math.isfinite(v)]
        if infinite:
            raise CheckpointError(f"{infinite[0]} of {name!r} is not finite: the file is damaged")
        held = {key: _numbers(name, key, value) for key, value in (weights or {}).items() if value is not None}
        shapes = {key: tuple(value.shape) for key, value in held.items()}
        layer = GraphNode(self._free(name), operator, inputs, shapes, attributes)
        try:
            self._shapes[layer.name] = shape_of(layer, [self._shapes[value] for value in inputs])
        except ValueError as error:
            raise CheckpointError(f"{error} (in the source, {name!r})") from error
        self._layers.append(layer)
        self._state |= {f"{layer.name}.{key}": value for key, value in held.items()}
        return layer.name

    def finish(self, output: str) -> GraphNetwork:
        """The network with its weights, in evaluation mode."""
        if output == INPUT:
            raise CheckpointError("the network has no layers: it returns its input")
        with torch.device("meta"):
            network = GraphNetwork(LayerGraph(self._input_shape, tuple(self._layers), output))
        network.load_state_dict(self._state, assign=True)
        return network.eval()

    def _free(self, name: str) -> str:
        plain = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_")[-100:] or "layer"
        if not is_free(plain):
            plain = f"layer_{plain}"
        free, count = plain, 1
        while free in self._shapes:
            count += 1
            free = f"{plain}_{count}"
        return free


def _numbers(name: str, key: str, value: Tensor) -> Tensor:
    if not value.is_floating_point():
        raise CheckpointError(f"{key} of {name!r} is {value.dtype}, expected floats")
    value = value.to(torch.float32).contiguous()
    if not bool(value.isfinite().all()):
        raise CheckpointError(f"{key} of {name!r} holds numbers that are not finite: the file is damaged")
    return value
