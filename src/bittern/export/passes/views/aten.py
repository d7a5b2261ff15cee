"""Views of ATen's operators. Spellings that mean the same give the same view: sizes are pairs, paddings four numbers,
dimensions count from the front.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor, fx
from torch.fx.node import Target

from bittern.export.graph import Graph, arguments, shape, sole_user

aten = torch.ops.aten

Pair = tuple[int, int]
"""Height and width."""
Padding = tuple[int, int, int, int]
"""Top, bottom, left, right."""

CONVOLUTIONS = (aten.conv2d.default, aten.conv2d.padding)
CONV_TRANSPOSE = aten.conv_transpose2d.input
LINEAR = aten.linear.default
NATIVE_BATCH_NORM = aten._native_batch_norm_legit_no_training.default
"""As captured: it returns a tuple."""
BATCH_NORM = aten.batch_norm.default
"""As `unwrap_batch_norm` leaves it."""
MAX_POOL = aten.max_pool2d.default
PADS = (aten.pad.default, aten.constant_pad_nd.default)
CAT = aten.cat.default
SLICE = aten.slice.Tensor
ARITHMETIC = (aten.add.Tensor, aten.sub.Tensor, aten.rsub.Scalar, aten.mul.Tensor, aten.div.Tensor)

View = TypeVar("View")


def matching(graph: Graph, match: Callable[[fx.Node], View | None]) -> Iterator[View]:
    """The views that ``match`` gives of the graph's calls, in order, each taken when it is reached.

    Nodes that a rewrite inserts or erases meanwhile are left out.
    """
    for node in graph.calls():
        if not node._erased and (view := match(node)) is not None:
            yield view


def pair(value: int | list[int]) -> Pair:
    """A size as of both axes, which operators also take as one number or a list of one."""
    values = [value] if isinstance(value, int) else list(value)
    height, width = values * 2 if len(values) == 1 else values
    return height, width


def call_of(node: object, *targets: Target) -> tuple[fx.Node, dict[str, Any]] | None:
    """``node`` and its arguments by name if it is a call of one of ``targets``; None for anything else."""
    return (node, arguments(node)) if isinstance(node, fx.Node) and node.target in targets else None


@dataclass(frozen=True)
class Layer:
    """A layer with weights ``[O, ...]``, and the channels of its result at ``channel_dim``.

    ``padding``: its own, with zeros. A linear layer has none, and one group.
    """

    node: fx.Node
    input: fx.Node
    weight: fx.Node
    bias: fx.Node | None
    padding: Padding
    groups: int

    channel_dim: ClassVar[int]


@dataclass(frozen=True)
class ConvLayer(Layer):
    """``conv2d(input, weight, bias)`` of images, or of a lone image ``[C, H, W]``."""

    stride: Pair
    dilation: Pair

    channel_dim = 1

    @staticmethod
    def match(node: object) -> "ConvLayer | None":
        if (found := call_of(node, *CONVOLUTIONS)) is None:
            return None
        call, named = found
        stride, dilation = pair(named["stride"]), pair(named["dilation"])
        padding = _conv_padding(named, dilation)
        x, weight, bias, groups = (named[name] for name in ("input", "weight", "bias", "groups"))
        return ConvLayer(call, x, weight, bias, padding, groups, stride, dilation)

    @property
    def kernel_size(self) -> Pair:
        height, width = shape(self.weight)[2:]
        return height, width


def _conv_padding(named: dict[str, Any], dilation: Pair) -> Padding:
    padding = named["padding"]
    if padding == "valid":
        return 0, 0, 0, 0
    if padding == "same":
        kernel = shape(named["weight"])[2:]
        vertical, horizontal = (dilation[axis] * (kernel[axis] - 1) for axis in (0, 1))
        # As torch: the odd pixel goes to the bottom and to the right.
        return vertical // 2, vertical - vertical // 2, horizontal // 2, horizontal - horizontal // 2
    vertical, horizontal = pair(padding)
    return vertical, vertical, horizontal, horizontal


@dataclass(frozen=True)
class LinearLayer(Layer):
    """``linear(input, weight, bias)`` of rows ``[..., I]`` with weight ``[O, I]``."""

    channel_dim = -1

    @staticmethod
    def match(node: object) -> "LinearLayer | None":
        if (found := call_of(node, LINEAR)) is None:
            return None
        call, named = found
        return LinearLayer(call, named["input"], named["weight"], named["bias"], (0, 0, 0, 0), 1)


def match_layer(node: object) -> Layer | None:
    return ConvLayer.match(node) or LinearLayer.match(node)


@dataclass(frozen=True)
class Pad:
    """A border of one number around images (4-D) or lone images, at least 0 wide on each side."""

    node: fx.Node
    input: fx.Node
    padding: Padding
    value: float

    @staticmethod
    def match(node: object) -> "Pad | None":
        if (found := call_of(node, *PADS)) is None:
            return None
        call, named = found
        widths = [*named["pad"], 0, 0, 0, 0][:4]
        if named.get("mode", "constant") != "constant" or len(named["pad"]) > 4 or min(widths) < 0:
            return None
        left, right, top, bottom = widths
        return Pad(call, named["self"], (top, bottom, left, right), float(named["value"] or 0.0))


@dataclass(frozen=True)
class PaddedInput:
    """What a layer reads, with the padding in front of it and its own as one border of ``source``.

    ``padding``: None if the two paddings have different values. ``pad``: the node in front of the layer that the border
    comes from, if any.
    """

    source: fx.Node
    padding: Padding | None
    value: float
    pad: fx.Node | None

    @staticmethod
    def own(layer: Layer) -> "PaddedInput":
        """With the padding of ``layer`` alone."""
        return PaddedInput(layer.input, layer.padding, 0.0, None)

    @staticmethod
    def of(layer: Layer) -> "PaddedInput":
        pad = Pad.match(layer.input) if isinstance(layer, ConvLayer) else None
        if pad is None:
            return PaddedInput.own(layer)
        if any(layer.padding) and pad.value != 0:
            return PaddedInput(pad.input, None, pad.value, pad.node)
        top, bottom, left, right = (a + b for a, b in zip(layer.padding, pad.padding, strict=True))
        return PaddedInput(pad.input, (top, bottom, left, right), pad.value, pad.node)


@dataclass(frozen=True)
class MaxPool2d:
    """Max pooling of images; ``padding`` is that of both sides: outside the image nothing counts."""

    node: fx.Node
    input: fx.Node
    kernel_size: Pair
    stride: Pair
    padding: Pair
    dilation: Pair

    @staticmethod
    def match(node: object) -> "MaxPool2d | None":
        if (found := call_of(node, MAX_POOL)) is None:
            return None
        call, named = found
        kernel, padding, dilation = (pair(named[name]) for name in ("kernel_size", "padding", "dilation"))
        stride = pair(named["stride"]) if named["stride"] else kernel
        return MaxPool2d(call, named["self"], kernel, stride, padding, dilation)


@dataclass(frozen=True)
class BatchNorm:
    """BatchNorm of dimension 1 in evaluation mode, with constants alone: `unwrap_batch_norm` makes it."""

    node: fx.Node
    input: fx.Node
    weight: fx.Node | None
    bias: fx.Node | None
    running_mean: fx.Node
    running_var: fx.Node
    eps: float

    @staticmethod
    def match(node: object) -> "BatchNorm | None":
        if (found := call_of(node, BATCH_NORM)) is None:
            return None
        call, named = found
        fields = ("input", "weight", "bias", "running_mean", "running_var", "eps")
        return BatchNorm(call, *(named[name] for name in fields))

    def affine(self, graph: Graph) -> tuple[Tensor, Tensor]:
        """As ``x * g + h``: g = gamma / sqrt(var + eps) and h = beta - mean * g, float64 ``[C]`` each."""
        mean, variance = graph.constant(self.running_mean), graph.constant(self.running_var)
        gamma, beta = graph.constant(self.weight), graph.constant(self.bias)
        assert mean is not None
        assert variance is not None
        one = torch.ones(len(mean), dtype=torch.float64)
        g = (one if gamma is None else gamma.double()) / torch.sqrt(variance.double() + self.eps)
        return g, (0 * one if beta is None else beta.double()) - mean.double() * g


@dataclass(frozen=True)
class Clamp:
    """``min(max(input, low), high)``, and ReLU and its like; None: no such bound."""

    node: fx.Node
    input: fx.Node
    low: float | None
    high: float | None

    @staticmethod
    def match(node: object) -> "Clamp | None":
        if not isinstance(node, fx.Node):
            return None
        match node.target:
            case aten.relu.default:
                bounds: tuple[Any, Any] = 0, None
            case aten.relu6.default:
                bounds = 0, 6
            case aten.hardtanh.default:
                named = arguments(node)
                bounds = named["min_val"], named["max_val"]
            case aten.clamp.default | aten.clamp_min.default | aten.clamp_max.default:
                named = arguments(node)
                bounds = named.get("min"), named.get("max")
            case _:
                return None
        return Clamp(node, node.all_input_nodes[0], *(None if end is None else float(end) for end in bounds))


@dataclass(frozen=True)
class PRelu:
    """``input`` where it is above 0, else ``input * slope``: one number, or a tensor of one or of one per channel."""

    node: fx.Node
    input: fx.Node
    slope: fx.Node | float

    @staticmethod
    def match(node: object) -> "PRelu | None":
        if (found := call_of(node, aten.prelu.default, aten.leaky_relu.default)) is None:
            return None
        call, named = found
        return PRelu(call, named["self"], named["weight"] if "weight" in named else named["negative_slope"])


@dataclass(frozen=True)
class Arithmetic:
    """``x + v``, ``x - v``, ``v - x``, ``x * v`` or ``x / v``, with a constant or number v.

    ``input``: x, float32, in the shape of the result. ``value``: v in its own shape and dtype, a number as float64
    without dimensions; no divisor is 0. ``first``: it is v - x.
    """

    node: fx.Node
    input: fx.Node
    value: Tensor
    first: bool

    @staticmethod
    def match(graph: Graph, node: object) -> "Arithmetic | None":
        found = call_of(node, *ARITHMETIC)
        if found is None or found[1].get("alpha", 1) != 1:
            return None
        call, _ = found
        left, right = call.args[:2]
        first = graph.constant(left) is not None
        x, v = (right, left) if first else (left, right)
        value = torch.tensor(v, dtype=torch.float64) if isinstance(v, (int, float)) else graph.constant(v)
        if value is None or not isinstance(x, fx.Node) or x.meta["val"].dtype != torch.float32:
            return None
        quotient = call.target is aten.div.Tensor
        if shape(x) != shape(call) or (quotient and (first or not bool((value != 0).all()))):
            return None
        return Arithmetic(call, x, value, first or call.target is aten.rsub.Scalar)

    def affine(self, value: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Factor and addend of the same map ``x * factor + addend``; None for a factor of 1 and an addend of 0.

        ``value``: v in the shape and dtype that they shall have.
        """
        match self.node.target:
            case aten.mul.Tensor:
                return value, None
            case aten.div.Tensor:
                return 1 / value, None
            case aten.add.Tensor:
                return None, value
        return (torch.full_like(value, -1.0), value) if self.first else (None, -value)


@dataclass(frozen=True)
class Concat:
    """``cat(parts, dim)``, with ``dim`` counted from the front."""

    node: fx.Node
    parts: tuple[fx.Node, ...]
    dim: int

    @staticmethod
    def match(node: object) -> "Concat | None":
        if (found := call_of(node, CAT)) is None:
            return None
        call, named = found
        return Concat(call, tuple(named["tensors"]), named["dim"] % len(shape(call)))

    def leaves(self, *, sole: bool = False) -> list[fx.Node]:
        """The parts, with those of concatenations along the same dimension in their place.

        ``sole``: only of concatenations that nothing else reads.
        """
        leaves = []
        for part in self.parts:
            inner = Concat.match(part)
            nested = inner is not None and inner.dim == self.dim and (not sole or sole_user(part) is self.node)
            leaves += inner.leaves(sole=sole) if inner is not None and nested else [part]
        return leaves


@dataclass(frozen=True)
class Slice:
    """``input[..., start:end, ...]`` along ``dim``, every value of it; 0 <= start and end <= size."""

    node: fx.Node
    input: fx.Node
    dim: int
    start: int
    end: int

    @staticmethod
    def match(node: object) -> "Slice | None":
        if (found := call_of(node, SLICE)) is None:
            return None
        call, named = found
        size = shape(named["self"])
        dim = named["dim"] % len(size)
        ends = (size[dim], named["start"], named["end"])
        if named["step"] != 1 or not all(isinstance(end, int | None) for end in ends):
            return None
        start, end, _ = slice(named["start"], named["end"]).indices(size[dim])
        return Slice(call, named["self"], dim, start, end)
