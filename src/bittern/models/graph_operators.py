"""The operators of networks that are stored as data: plain functions, whose signatures are what a file may say.

Positional arguments are inputs, keyword-only tensors are weights, all other keyword-only arguments are attributes.
Images are [N, C, H, W], ``padding`` is (top, bottom, left, right).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import Parameter, signature
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from bittern._fields import Fields
from bittern.ops import binarize

Attribute = bool | int | float | tuple[int, ...]
Ints = tuple[int, ...]
Sides = tuple[int, ...]

_NO_SIDES = (0, 0, 0, 0)


@dataclass(frozen=True)
class Argument:
    """``read(fields, key)`` gives its value from JSON."""

    required: bool
    read: Callable[[Fields, str], Attribute]


@dataclass(frozen=True)
class GraphOperator:
    """``inputs``: how many, None for one or more. ``weights``: whether each is required."""

    call: Callable[..., Tensor]
    inputs: int | None
    weights: Mapping[str, bool]
    attributes: Mapping[str, Argument]


_READERS: dict[Any, Callable[[Fields, str], Attribute]] = {
    bool: Fields.flag,
    int: Fields.integer,
    float: Fields.number,
    float | None: Fields.number,
    Ints: Fields.integers,
}

OPERATORS: dict[str, GraphOperator] = {}
"""Name -> operator."""


def _operator(call: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Adds ``call`` to the table, under its name without a trailing underscore."""
    arguments = signature(call).parameters.values()
    inputs: int | None = sum(a.kind is Parameter.POSITIONAL_ONLY for a in arguments)
    if any(a.kind is Parameter.VAR_POSITIONAL for a in arguments):
        inputs = None
    named = [a for a in arguments if a.kind is Parameter.KEYWORD_ONLY]
    tensors = {a.name: a for a in named if a.annotation in (Tensor, Tensor | None)}
    weights = {name: a.default is Parameter.empty for name, a in tensors.items()}
    attributes = {
        a.name: Argument(a.default is Parameter.empty, _READERS[a.annotation]) for a in named if a.name not in tensors
    }
    OPERATORS[call.__name__.rstrip("_")] = GraphOperator(call, inputs, weights, attributes)
    return call


def _padded(x: Tensor, padding: Sides, value: float = 0.0) -> Tensor:
    top, bottom, left, right = padding
    return F.pad(x, (left, right, top, bottom), value=value) if any(padding) else x


def _signs(weight: Tensor, magnitude: Tensor | None) -> Tensor:
    signs = binarize(weight)
    return signs if magnitude is None else signs * magnitude.view(-1, *(1,) * (weight.dim() - 1))


# Layers with weights


@_operator
def conv2d(
    x: Tensor,
    /,
    *,
    weight: Tensor,
    bias: Tensor | None = None,
    magnitude: Tensor | None = None,
    binary: bool = False,
    stride: Ints = (1, 1),
    padding: Sides = _NO_SIDES,
    dilation: Ints = (1, 1),
    groups: int = 1,
    pad_value: float = 0.0,
) -> Tensor:
    """``weight`` [O, I / groups, H, W], as in ``linear``. The border holds ``pad_value``."""
    weight = _signs(weight, magnitude) if binary else weight
    top, bottom, left, right = padding
    if pad_value == 0 and top == bottom and left == right:
        return F.conv2d(x, weight, bias, stride, (top, left), dilation, groups)
    return F.conv2d(_padded(x, padding, pad_value), weight, bias, stride, 0, dilation, groups)


@_operator
def linear(
    x: Tensor, /, *, weight: Tensor, bias: Tensor | None = None, magnitude: Tensor | None = None, binary: bool = False
) -> Tensor:
    """``weight`` [O, I]; if ``binary``, its signs count, times ``magnitude`` [O] if given."""
    return F.linear(x, _signs(weight, magnitude) if binary else weight, bias)


@_operator
def batch_norm(
    x: Tensor,
    /,
    *,
    mean: Tensor,
    variance: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    epsilon: float,
) -> Tensor:
    """``(x - mean) / sqrt(variance + epsilon) * weight + bias``, channel by channel."""
    return F.batch_norm(x, mean, variance, weight, bias, False, 0.0, epsilon)


@_operator
def prelu(x: Tensor, /, *, weight: Tensor) -> Tensor:
    """``weight`` has one slope, or one for each channel."""
    return F.prelu(x, weight)


@_operator
def scale(x: Tensor, /, *, factor: Tensor) -> Tensor:
    """``x * factor``, broadcast as torch does it."""
    return x * factor


@_operator
def shift(x: Tensor, /, *, offset: Tensor) -> Tensor:
    """``x + offset``, broadcast as torch does it."""
    return x + offset


# Signs


@_operator
def binarize_(x: Tensor, /) -> Tensor:
    """-1 where ``x < 0``, else +1."""
    return binarize(x)


@_operator
def sign(x: Tensor, /) -> Tensor:
    """-1, 0 or +1."""
    return torch.sign(x)


@_operator
def greater(x: Tensor, /, *, than: float = 0.0) -> Tensor:
    """1 where ``x > than``, else 0."""
    return (x > than).to(x.dtype)


# Elementwise


@_operator
def relu(x: Tensor, /) -> Tensor:
    return F.relu(x)


@_operator
def clamp(x: Tensor, /, *, low: float | None = None, high: float | None = None) -> Tensor:
    return x.clamp(low, high)


@_operator
def leaky_relu(x: Tensor, /, *, slope: float) -> Tensor:
    return F.leaky_relu(x, slope)


@_operator
def sigmoid(x: Tensor, /) -> Tensor:
    return torch.sigmoid(x)


@_operator
def tanh(x: Tensor, /) -> Tensor:
    return torch.tanh(x)


@_operator
def gelu(x: Tensor, /) -> Tensor:
    return F.gelu(x)


@_operator
def silu(x: Tensor, /) -> Tensor:
    return F.silu(x)


@_operator
def elu(x: Tensor, /, *, alpha: float = 1.0) -> Tensor:
    return F.elu(x, alpha)


@_operator
def softmax(x: Tensor, /, *, dim: int) -> Tensor:
    return torch.softmax(x, dim)


@_operator
def round_(x: Tensor, /) -> Tensor:
    """To the nearest integer, halves to the even one."""
    return torch.round(x)


@_operator
def add_number(x: Tensor, /, *, value: float) -> Tensor:
    return x + value


@_operator
def multiply_number(x: Tensor, /, *, value: float) -> Tensor:
    return x * value


# Several inputs


@_operator
def add(a: Tensor, b: Tensor, /) -> Tensor:
    return a + b


@_operator
def subtract(a: Tensor, b: Tensor, /) -> Tensor:
    return a - b


@_operator
def multiply(a: Tensor, b: Tensor, /) -> Tensor:
    return a * b


@_operator
def divide(a: Tensor, b: Tensor, /) -> Tensor:
    return a / b


@_operator
def maximum(a: Tensor, b: Tensor, /) -> Tensor:
    return torch.maximum(a, b)


@_operator
def minimum(a: Tensor, b: Tensor, /) -> Tensor:
    return torch.minimum(a, b)


@_operator
def concatenate(*inputs: Tensor, dim: int = 1) -> Tensor:
    return torch.cat(inputs, dim)


# Pooling


@_operator
def max_pool2d(x: Tensor, /, *, kernel: Ints, stride: Ints, padding: Sides = _NO_SIDES) -> Tensor:
    """The border is -inf."""
    top, bottom, left, right = padding
    if top == bottom <= kernel[0] // 2 and left == right <= kernel[1] // 2:
        return F.max_pool2d(x, kernel, stride, (top, left))
    return F.max_pool2d(_padded(x, padding, float("-inf")), kernel, stride)


@_operator
def avg_pool2d(
    x: Tensor, /, *, kernel: Ints, stride: Ints, padding: Sides = _NO_SIDES, count_padding: bool = False
) -> Tensor:
    """The mean of a window, of its pixels inside the image unless ``count_padding``."""
    if not any(padding):
        return F.avg_pool2d(x, kernel, stride)
    mean = F.avg_pool2d(_padded(x, padding), kernel, stride)
    if count_padding:
        return mean
    inside = _padded(torch.ones(1, 1, x.shape[2], x.shape[3], dtype=x.dtype, device=x.device), padding)
    return mean * F.avg_pool2d(inside, kernel, stride).reciprocal()


@_operator
def mean(x: Tensor, /, *, dims: Ints, keep: bool) -> Tensor:
    return x.mean(dims, keep)


@_operator
def amax(x: Tensor, /, *, dims: Ints, keep: bool) -> Tensor:
    return x.amax(dims, keep)


# Shapes


@_operator
def pad(x: Tensor, /, *, padding: Sides, value: float = 0.0) -> Tensor:
    """The two last dimensions."""
    return _padded(x, padding, value)


@_operator
def upsample(x: Tensor, /, *, factors: Ints) -> Tensor:
    """Repeats rows and columns."""
    return F.interpolate(x, size=(x.shape[2] * factors[0], x.shape[3] * factors[1]), mode="nearest")


@_operator
def flatten(x: Tensor, /) -> Tensor:
    """[N, ...] to [N, features]."""
    return x.flatten(1)


@_operator
def reshape(x: Tensor, /, *, shape: Ints) -> Tensor:
    """``shape`` without the batch; one size may be -1."""
    return x.reshape(x.shape[0], *shape)


@_operator
def permute(x: Tensor, /, *, dims: Ints) -> Tensor:
    return x.permute(dims)


@_operator
def reorder(x: Tensor, /, *, order: Ints) -> Tensor:
    """Feature ``order[i]`` of [N, features] becomes feature i."""
    if len(order) != x.shape[1] or not 0 <= min(order) <= max(order) < x.shape[1]:
        raise ValueError(f"order must name {x.shape[1]} features")
    return torch.index_select(x, 1, torch.tensor(order, device=x.device))
