"""The configuration in a Keras 2 file as layers and the order of their calls: Sequential, functional, nested.

Nothing in it is trusted: every entry is checked before it is used, and no class of the file's choosing is made.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

from bittern._fields import short
from bittern.importers.errors import CheckpointError
from bittern.importers.keras_quantizers import plain_name

NETWORKS = ("Sequential", "Functional", "Model")
"""Classes of layers that consist of layers."""

MAX_CALLS = 10_000
_MAX_DEPTH = 20
_HARMLESS = ("training", "mask", "name")
"""Arguments of a call that do not change what evaluation computes."""

Reference = tuple[str, int]
"""A layer's name, and which of its calls."""


@dataclass(frozen=True)
class Described:
    """A layer: its class without a package, its name and its configuration."""

    kind: str
    name: str
    config: Mapping[str, Any]


@dataclass(frozen=True)
class PlannedCall:
    """``layer`` is called on the results of ``inputs``; ``arguments`` are those of an operation written in Python."""

    layer: Described
    index: int
    inputs: tuple[Reference, ...]
    arguments: Mapping[str, Any]


@dataclass(frozen=True)
class Plan:
    """The calls of one network in an order in which they can run.

    Args:
        input_shape: as Keras writes it, without the batch; None if the network does not say it.
        source: the reference by which calls read the network's input.
    """

    calls: tuple[PlannedCall, ...]
    input_shape: tuple[int, ...] | None
    source: Reference
    output: Reference


def parse_config(text: str) -> Described:
    """The network that ``model_config`` describes."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"the configuration is not JSON: {error}") from error
    network = _described(value)
    if network.kind not in NETWORKS:
        raise CheckpointError(
            f"the configuration is that of a {short(network.kind)}: only Sequential and functional models have their "
            "layers in it; call the model's layers on a keras.Input, and save keras.Model(inputs, outputs)"
        )
    return network


def plan(network: Described, depth: int = 0) -> Plan:
    """The calls of ``network``, a Sequential or functional model."""
    if depth > _MAX_DEPTH:
        raise CheckpointError(f"models are nested more than {_MAX_DEPTH} deep")
    entries = network.config.get("layers")
    if not isinstance(entries, list) or not entries or len(entries) > MAX_CALLS:
        raise CheckpointError(f"model {network.name!r} has no list of 1 to {MAX_CALLS} layers")
    layers = [_described(entry) for entry in entries]
    names = [layer.name for layer in layers]
    twice = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
    if twice is not None:
        raise CheckpointError(f"model {network.name!r} has two layers called {twice!r}")
    if network.kind == "Sequential":
        return _sequential(layers)
    return _functional(network, layers, entries)


def _sequential(layers: list[Described]) -> Plan:
    shape = _input_shape(layers[0])
    source = (layers[0].name, 0) if layers[0].kind == "InputLayer" else ("", 0)
    calls: list[PlannedCall] = []
    last = source
    for layer in layers[1:] if layers[0].kind == "InputLayer" else layers:
        calls.append(PlannedCall(layer, 0, (last,), {}))
        last = (layer.name, 0)
    return Plan(tuple(calls), shape, source, last)


def _functional(network: Described, layers: list[Described], entries: list[Any]) -> Plan:
    by_name = {layer.name: layer for layer in layers}
    source = _only(network, "input_layers", by_name)
    if by_name[source[0]].kind != "InputLayer":
        raise CheckpointError(f"the input {source[0]!r} of model {network.name!r} is no InputLayer")
    calls: dict[Reference, PlannedCall] = {}
    for layer, entry in zip(layers, entries, strict=True):
        nodes = entry.get("inbound_nodes")
        if not isinstance(nodes, list) or len(calls) + len(nodes) > MAX_CALLS:
            raise CheckpointError(f"layer {layer.name!r} has no list of at most {MAX_CALLS} calls (inbound_nodes)")
        if layer.kind == "InputLayer" and layer.name != source[0]:
            raise CheckpointError(f"model {network.name!r} has a second input, {layer.name!r}; one image is supported")
        for index, node in enumerate(nodes):
            calls[layer.name, index] = _call(layer, index, node, by_name)
    output = _only(network, "output_layers", by_name)
    needed: dict[Reference, tuple[Reference, ...]] = {}
    waiting = [output]
    while waiting:
        target = waiting.pop()
        if target in needed or target == source:
            continue
        if target not in calls:
            raise CheckpointError(f"call {target[1]} of layer {target[0]!r} is read, but is not in the file")
        needed[target] = (*calls[target].inputs, *_references(calls[target].arguments, by_name))
        waiting += needed[target]
    try:
        order = [target for target in TopologicalSorter(needed).static_order() if target != source]
    except CycleError as error:
        names = " -> ".join(str(name) for name, _ in error.args[1][:5])
        raise CheckpointError(f"layers of model {network.name!r} read each other in a circle: {names}") from error
    return Plan(tuple(calls[target] for target in order), _input_shape(by_name[source[0]]), source, output)


def _call(layer: Described, index: int, node: object, by_name: Mapping[str, Described]) -> PlannedCall:
    """A call is a list of references, or one reference by itself; each may have arguments."""
    entries = [node] if isinstance(node, list) and node and isinstance(node[0], str) else node
    if not isinstance(entries, list) or not entries:
        keras3 = " (Keras 3 writes them so: save the model with Keras 2)" if isinstance(node, dict) else ""
        raise CheckpointError(f"layer {layer.name!r} is called on {short(node)}, expected references to layers{keras3}")
    arguments: dict[str, Any] = {}
    for entry in entries:
        given = entry[3] if isinstance(entry, list) and len(entry) > 3 else {}
        if not isinstance(given, dict):
            raise CheckpointError(f"layer {layer.name!r} has arguments {short(given)}, expected an object")
        arguments |= {key: value for key, value in given.items() if key not in _HARMLESS}
    return PlannedCall(layer, index, tuple(reference(entry, by_name) for entry in entries), arguments)


def is_reference(value: object, by_name: Mapping[str, Described]) -> bool:
    return isinstance(value, list) and len(value) >= 3 and isinstance(value[0], str) and value[0] in by_name


def _references(arguments: Mapping[str, Any], by_name: Mapping[str, Described]) -> Iterator[Reference]:
    for value in arguments.values():
        if is_reference(value, by_name):
            yield reference(value, by_name)


def reference(value: object, by_name: Mapping[str, Described]) -> Reference:
    """``[layer, call, output, ...]``; a nested model counts its calls from 1, as building it was the first."""
    if not isinstance(value, list) or len(value) < 3 or not isinstance(value[0], str) or value[0] not in by_name:
        raise CheckpointError(f"{short(value)} is no reference to a layer of the model")
    name, index, output = value[:3]
    if not isinstance(index, int) or not isinstance(output, int) or output != 0:
        raise CheckpointError(f"{short(value)} reads an output of {name!r} that is not its first; layers have one here")
    return name, index - _starts_at_one(by_name[name])


def _starts_at_one(layer: Described) -> bool:
    layers = layer.config.get("layers") if layer.kind in NETWORKS else None
    return isinstance(layers, list) and bool(layers) and _described(layers[0]).kind == "InputLayer"


def _only(network: Described, key: str, by_name: Mapping[str, Described]) -> Reference:
    value = network.config.get(key)
    if isinstance(value, list) and len(value) == 3 and isinstance(value[0], str):
        value = [value]
    if not isinstance(value, list) or len(value) != 1:
        count = len(value) if isinstance(value, list) else short(value)
        raise CheckpointError(
            f"model {network.name!r} has {count} {key.replace('_', ' ')}; models with one input and one output are "
            "imported: save keras.Model(inputs, outputs) of one of each"
        )
    return reference(value[0], by_name)


def _described(entry: object) -> Described:
    if not isinstance(entry, dict) or not isinstance(entry.get("config"), dict):
        raise CheckpointError(f"{short(entry)} describes no layer")
    kind, config = entry.get("class_name"), entry["config"]
    name = entry.get("name", config.get("name"))
    if not isinstance(kind, str) or not isinstance(name, str) or not name:
        raise CheckpointError(f"a layer has the class {short(kind)} and the name {short(name)}; both must be texts")
    return Described(plain_name(kind), name, config)


def _input_shape(layer: Described) -> tuple[int, ...] | None:
    """Of an InputLayer, or of the first layer of a Sequential model."""
    shape = layer.config.get("batch_input_shape", layer.config.get("batch_shape"))
    if shape is None and layer.kind in NETWORKS and isinstance(layer.config.get("layers"), list):
        first = layer.config["layers"][:1]
        return _input_shape(_described(first[0])) if first and _described(first[0]).kind not in NETWORKS else None
    if shape is None:
        return None
    if not isinstance(shape, list) or not 2 <= len(shape) <= 4:
        raise CheckpointError(
            f"layer {layer.name!r} takes {short(shape)}; images [batch, H, W, C] or [batch, H, W], and rows "
            "[batch, features] are imported"
        )
    sizes = shape[1:]
    if not all(isinstance(size, int) and not isinstance(size, bool) and size > 0 for size in sizes):
        raise CheckpointError(
            f"layer {layer.name!r} takes {short(shape)}, whose sizes are open: build the model with the size that it "
            "is to run at, such as keras.Input((224, 224, 3)), load the weights into it and save it"
        )
    return tuple(sizes)
