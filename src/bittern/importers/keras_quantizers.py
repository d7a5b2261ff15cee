"""Larq's quantizers and Keras' activations: of kernels as numbers, of activations as operators of a graph."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from bittern._fields import short
from bittern.importers.errors import CheckpointError
from bittern.importers.graph_builder import GraphBuilder

_ALIASES = {
    "ste_sign": "SteSign",
    "approx_sign": "ApproxSign",
    "swish_sign": "SwishSign",
    "ste_heaviside": "SteHeaviside",
    "magnitude_aware_sign": "MagnitudeAwareSign",
    "dorefa_quantizer": "DoReFa",
    "DoReFaQuantizer": "DoReFa",
    "NoOpQuantizer": "NoOp",
    "no_op": "NoOp",
    "ste_tern": "SteTern",
}
_SIGNS = ("SteSign", "ApproxSign", "SwishSign")
"""-1 where ``x < 0``, else +1; they differ in their gradients."""

QUANTIZERS = (*_SIGNS, "SteHeaviside", "MagnitudeAwareSign", "DoReFa", "NoOp")

_MAX_BITS = 8


def plain_name(name: str) -> str:
    """A class or function without the package that Keras registers custom ones under."""
    return name.rpartition(">")[2]


def quantizer_of(value: object, layer: str) -> tuple[str, dict[str, object]] | None:
    """Class and configuration of a quantizer as Keras stores it: null, an alias, or an object; None for none."""
    if value is None:
        return None
    name, config = named(value, layer)
    name = _ALIASES.get(plain_name(name), plain_name(name))
    if name == "SteTern":
        raise CheckpointError(f"layer {layer!r} has the quantizer SteTern, whose values are -1, 0 and 1: not binary")
    if name not in QUANTIZERS:
        known = ", ".join(QUANTIZERS)
        raise CheckpointError(f"layer {layer!r} has the quantizer {short(name)}; those that are imported are {known}")
    return None if name == "NoOp" else (name, config)


def named(value: object, layer: str) -> tuple[str, dict[str, object]]:
    """Name and configuration of a function or of an object with one, as Keras stores it."""
    if isinstance(value, str):
        return value, {}
    if isinstance(value, dict) and isinstance(name := value.get("class_name"), str):
        config = value.get("config")
        if name == "function" and isinstance(config, str):
            return config, {}
        if config is None or isinstance(config, dict):
            return name, config or {}
    raise CheckpointError(f"layer {layer!r} names a function as {short(value)}, expected a name, or class and config")


@dataclass(frozen=True)
class QuantizedKernel:
    """A kernel in Keras' layout, filters in the last dimension.

    ``binary``: the layer takes the signs of ``weight``, times ``magnitude`` [filters] if that is given.
    """

    weight: Tensor
    binary: bool = False
    magnitude: Tensor | None = None


def quantize_kernel(w: Tensor, quantizer: object, layer: str) -> QuantizedKernel:
    """What the layer computes with; numbers that are not signs are those that the quantizer gives."""
    found = quantizer_of(quantizer, layer)
    if found is None:
        return QuantizedKernel(w)
    name, config = found
    if name in _SIGNS:
        return QuantizedKernel(w, binary=True)
    w = w.float()
    if name == "SteHeaviside":
        return QuantizedKernel((w > 0).float())
    if name == "MagnitudeAwareSign":
        return QuantizedKernel(w, binary=True, magnitude=w.abs().mean(tuple(range(w.dim() - 1))))
    levels = _levels(config, layer)
    if config.get("mode") != "weights":
        return QuantizedKernel(_round(w.clamp(0, 1), levels))
    limited = w.tanh()
    largest = limited.abs().max()
    unit = limited / (2 * largest) + 0.5 if largest > 0 else torch.full_like(w, 0.5)
    return QuantizedKernel(2 * _round(unit, levels) - 1, binary=levels == 1)


def quantize_activation(graph: GraphBuilder, value: str, quantizer: object, layer: str) -> str:
    """Appends the quantizer of a layer's input, or one that is a layer of its own."""
    found = quantizer_of(quantizer, layer)
    if found is None:
        return value
    name, config = found
    if name in _SIGNS:
        return graph.add(f"{layer}_sign", "binarize", value)
    if name == "SteHeaviside":
        return graph.add(f"{layer}_step", "greater", value)
    if name == "MagnitudeAwareSign":
        raise CheckpointError(
            f"layer {layer!r} scales its signs by the mean size of the whole batch (MagnitudeAwareSign), so that an "
            "image's result depends on others; use it for kernels, and SteSign or ApproxSign for activations"
        )
    if config.get("mode") == "weights":
        raise CheckpointError(f"layer {layer!r} has DoReFa(mode='weights') on its input; use mode='activations'")
    levels = _levels(config, layer)
    if levels == 1:  # 0.5 is rounded to 0, the even one
        return graph.add(f"{layer}_step", "greater", value, than=0.5)
    value = graph.add(f"{layer}_clip", "clamp", value, low=0.0, high=1.0)
    value = graph.add(f"{layer}_levels", "multiply_number", value, value=float(levels))
    value = graph.add(f"{layer}_round", "round", value)
    return graph.add(f"{layer}_unit", "multiply_number", value, value=1 / levels)


def _levels(config: dict[str, object], layer: str) -> int:
    bits = config.get("k_bit", 2)
    if not isinstance(bits, int) or isinstance(bits, bool) or not 1 <= bits <= _MAX_BITS:
        raise CheckpointError(f"layer {layer!r}: k_bit of DoReFa must be 1 to {_MAX_BITS}, is {short(bits)}")
    return int(2**bits - 1)


def _round(x: Tensor, levels: int) -> Tensor:
    return torch.round(x * levels) / levels


Activation = Callable[[GraphBuilder, str, str], str]
"""Graph, name and value -> value."""


def _of(operator: str, **attributes: Any) -> Activation:
    return lambda graph, name, value: graph.add(name, operator, value, **attributes)


def _hard_sigmoid(graph: GraphBuilder, name: str, value: str) -> str:
    value = graph.add(f"{name}_slope", "multiply_number", value, value=0.2)
    value = graph.add(f"{name}_middle", "add_number", value, value=0.5)
    return graph.add(name, "clamp", value, low=0.0, high=1.0)


def _selu(graph: GraphBuilder, name: str, value: str) -> str:
    value = graph.add(f"{name}_elu", "elu", value, alpha=1.6732632423543772)
    return graph.add(name, "multiply_number", value, value=1.0507009873554805)


def _leaky_tanh(graph: GraphBuilder, name: str, value: str) -> str:
    """``c + 0.2 (x - c)`` with ``c`` the clipped value."""
    clipped = graph.add(f"{name}_clip", "clamp", value, low=-1.0, high=1.0)
    rest = graph.add(f"{name}_rest", "subtract", value, clipped)
    return graph.add(name, "add", clipped, graph.add(f"{name}_slope", "multiply_number", rest, value=0.2))


ACTIVATIONS: dict[str, Activation] = {
    "linear": lambda graph, name, value: value,
    "relu": _of("relu"),
    "relu6": _of("clamp", low=0.0, high=6.0),
    "sigmoid": _of("sigmoid"),
    "tanh": _of("tanh"),
    "softmax": _of("softmax", dim=1),
    "elu": _of("elu"),
    "selu": _selu,
    "swish": _of("silu"),
    "silu": _of("silu"),
    "gelu": _of("gelu"),
    "hard_sigmoid": _hard_sigmoid,
    "hard_tanh": _of("clamp", low=-1.0, high=1.0),
    "leaky_tanh": _leaky_tanh,
}
"""By Keras' or Larq's name."""


def activate(graph: GraphBuilder, value: str, activation: object, layer: str) -> str:
    """Appends ``activation`` as Keras stores it: null, a name, or an object with one."""
    if activation is None:
        return value
    name = plain_name(named(activation, layer)[0])
    if name in ACTIVATIONS:
        return ACTIVATIONS[name](graph, layer if name == "softmax" else f"{layer}_{name}", value)
    if name in _ALIASES or name in QUANTIZERS:
        return quantize_activation(graph, value, activation, layer)
    known = ", ".join(ACTIVATIONS)
    raise CheckpointError(f"layer {layer!r} has the activation {short(name)}; those that are imported are {known}")
