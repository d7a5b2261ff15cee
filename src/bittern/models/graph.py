"""Networks as data: a list of layers that JSON holds, and the module that replays it.

Importers write networks of other frameworks so, and a run folder stores them without code::

    {"input": [3, 32, 32], "output": "dense", "layers": [
        {"name": "conv", "operator": "conv2d", "inputs": ["input"], "weights": {"weight": [8, 3, 3, 3]},
         "attributes": {"padding": [1, 1, 1, 1]}}, ...]}

The operators are the functions in ``graph_operators``.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from bittern._fields import Fields, short
from bittern.models.graph_operators import OPERATORS, Attribute

INPUT = "input"
"""What layers call the network's input."""

STATISTICS = ("mean", "variance")
"""Weights that are counted, not learned."""

MAX_LAYERS = 10_000
MAX_NUMBERS = 2**33
"""Of one tensor: larger ones are a mistake, or an attack."""

_TAKEN = {*dir(nn.Module()), "graph", INPUT}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")


def is_free(name: str) -> bool:
    """Whether a layer may have ``name``: letters, digits and underscores, and no attribute of a module."""
    return _NAME.fullmatch(name) is not None and name not in _TAKEN


@dataclass(frozen=True)
class GraphNode:
    """``name = operator(*inputs, **weights, **attributes)``.

    Args:
        name: of the layer and of its result: letters, digits and underscores.
        inputs: names of earlier layers, or ``"input"``.
        weights: shapes of the layer's own tensors, by the operator's argument.
    """

    name: str
    operator: str
    inputs: tuple[str, ...]
    weights: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    attributes: Mapping[str, Attribute] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        weights = {name: list(shape) for name, shape in self.weights.items()}
        attributes = {key: list(v) if isinstance(v, tuple) else v for key, v in self.attributes.items()}
        head = {"name": self.name, "operator": self.operator, "inputs": list(self.inputs)}
        return {**head, "weights": weights, "attributes": attributes}


@dataclass(frozen=True)
class LayerGraph:
    """Layers in the order in which they run; ``input_shape`` is (C, H, W), ``output`` names a layer."""

    input_shape: tuple[int, int, int]
    layers: tuple[GraphNode, ...]
    output: str

    def to_json(self) -> dict[str, Any]:
        """A dictionary that JSON can hold; `from_json` reads it back."""
        layers = [layer.to_json() for layer in self.layers]
        return {"input": list(self.input_shape), "layers": layers, "output": self.output}

    @staticmethod
    def from_json(value: object, name: str = "graph") -> "LayerGraph":
        """Reads what `to_json` gave; ValueError, naming the layer and its entry, for anything else."""
        fields = Fields(value, name)
        shape = fields.sizes("input")
        if len(shape) != 3:
            raise ValueError(f"{name}: input must be [C, H, W], is {short(list(shape))}")
        entries = fields.objects("layers")
        if len(entries) > MAX_LAYERS:
            raise ValueError(f"{name} has {len(entries)} layers, at most {MAX_LAYERS} are read")
        graph = LayerGraph((shape[0], shape[1], shape[2]), tuple(map(_read_layer, entries)), fields.text("output"))
        _check_names(graph, name)
        return graph


def _read_layer(fields: Fields) -> GraphNode:
    layer, operator = fields.text("name"), fields.text("operator")
    where = f"layer {short(layer)}"
    if operator not in OPERATORS:
        raise ValueError(f"{where}: operator {short(operator)} is none of {', '.join(OPERATORS)}")
    row = OPERATORS[operator]
    inputs, given = fields.texts("inputs"), Fields(fields.value("weights"), f"{where}: weights")
    if len(inputs) != row.inputs and not (row.inputs is None and inputs):
        raise ValueError(f"{where}: {operator} takes {row.inputs or 'at least 1'} inputs, got {len(inputs)}")
    weights = {key: given.sizes(key) for key in given.entries}
    _check_keys(f"{where}: weights of {operator}", weights, row.weights)
    attributes = Fields(fields.value("attributes"), f"{where}: attributes")
    required = {key: argument.required for key, argument in row.attributes.items()}
    _check_keys(f"{where}: attributes of {operator}", attributes.entries, required)
    for key, shape in weights.items():
        if prod(shape) > MAX_NUMBERS:
            raise ValueError(f"{where}: {key} has the shape {list(shape)}, which is more than {MAX_NUMBERS} numbers")
    read = {key: row.attributes[key].read(attributes, key) for key in attributes.entries}
    return GraphNode(layer, operator, inputs, weights, read)


def _check_keys(what: str, given: Collection[str], known: Mapping[str, bool]) -> None:
    """``known``: whether each is required."""
    missing = [key for key, required in known.items() if required and key not in given]
    if missing:
        raise ValueError(f"{what} lack {', '.join(missing)}")
    surplus = [key for key in given if key not in known]
    if surplus:
        raise ValueError(f"{what}: {short(surplus[0])} is none of {', '.join(known) or 'them: it has none'}")


def _check_names(graph: LayerGraph, name: str) -> None:
    """Every name is used once and read after it was written, so that there are no circles."""
    known = {INPUT}
    for layer in graph.layers:
        if not is_free(layer.name):
            raise ValueError(
                f"{name}: {short(layer.name)} is no name of a layer: letters, digits and _, and no method of a module"
            )
        if layer.name in known:
            raise ValueError(f"{name}: two layers are called {short(layer.name)}")
        unknown = [each for each in layer.inputs if each not in known]
        if unknown:
            raise ValueError(f"{name}: layer {layer.name} reads {short(unknown[0])}, which is no earlier layer")
        known.add(layer.name)
    if graph.output not in known - {INPUT}:
        raise ValueError(f"{name}: output {short(graph.output)} is no layer")


class GraphLayer(nn.Module):
    """One layer of a graph, with its weights: a call of an operator."""

    def __init__(self, layer: GraphNode) -> None:
        super().__init__()
        self.operator = layer.operator
        self._call = OPERATORS[layer.operator].call
        self._attributes = dict(layer.attributes)
        self._weights = tuple(layer.weights)
        for key, shape in layer.weights.items():
            if key in STATISTICS:
                self.register_buffer(key, torch.empty(shape))
            else:
                self.register_parameter(key, nn.Parameter(torch.empty(shape)))

    def forward(self, *inputs: Tensor) -> Tensor:
        weights = {key: getattr(self, key) for key in self._weights}
        return self._call(*inputs, **weights, **self._attributes)

    def extra_repr(self) -> str:
        return ", ".join([self.operator, *(f"{key}={value}" for key, value in self._attributes.items())])


class GraphNetwork(nn.Module):
    """Replays a ``LayerGraph``: [N, C, H, W] to the output of one layer, whose modules are called as the layers.

    Weights are uninitialized. BatchNorm uses the statistics that it was given, also in training mode.

    Raises:
        ValueError: the layers do not fit each other, found by a run on shapes alone; the message names the layer.
    """

    def __init__(self, graph: LayerGraph) -> None:
        super().__init__()
        self.graph = graph
        for layer in graph.layers:
            self.add_module(layer.name, GraphLayer(layer))
        shapes(graph)

    def forward(self, x: Tensor) -> Tensor:
        values = {INPUT: x}
        for layer in self.graph.layers:
            values[layer.name] = getattr(self, layer.name)(*(values[name] for name in layer.inputs))
        return values[self.graph.output]


def shapes(graph: LayerGraph) -> dict[str, tuple[int, ...]]:
    """The shape of every layer's result for one image, the batch of 1 included; ValueError as `GraphNetwork`."""
    found: dict[str, tuple[int, ...]] = {INPUT: (1, *graph.input_shape)}
    for layer in graph.layers:
        found[layer.name] = shape_of(layer, [found[name] for name in layer.inputs])
    return found


def shape_of(layer: GraphNode, inputs: list[tuple[int, ...]]) -> tuple[int, ...]:
    """The shape that ``layer`` makes of ``inputs``; ValueError if it takes none such. No memory is used."""
    try:
        with torch.device("meta"), torch.no_grad():
            result = GraphLayer(layer)(*(torch.empty(shape) for shape in inputs))
    except (RuntimeError, ValueError, IndexError, TypeError, OverflowError) as error:
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        given = ", ".join(str(list(shape)) for shape in inputs)
        raise ValueError(f"layer {layer.name}: {layer.operator} does not take {given}: {text}") from error
    if prod(result.shape) > MAX_NUMBERS or 0 in result.shape:
        raise ValueError(f"layer {layer.name}: {layer.operator} gives {list(result.shape)}, which no network needs")
    return tuple(result.shape)
