"""Transposed convolutions of signs become convolutions of signs, one for each position of a pixel within a stride.

On each axis, with stride s, dilation d and padding p, the result at s * m + a takes the taps t for which d * t has the
remainder of a + p:

    y[s * m + a] = sum over t of W[t] * x[m + (a + p - d * t) / s]                        a = 0 ... s - 1

which are t0, t0 + s/g, t0 + 2 * s/g ... with g = gcd(s, d): a convolution of the flipped taps with dilation d/g,
bordered with zeros. The s * s results are the pixels of y in turn. Together they multiply as often as the transposed
convolution; one of x with zeros between its pixels multiplies s * s times as often, and bits have no zeros.

Steps behind the layer that treat each channel by itself move to the parts, where they join packed layers.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, fx

from bittern.export.graph import Graph, Provenance, arguments, shape, sole_user
from bittern.export.passes.binary import (
    REAL_INPUT,
    REAL_VALUED,
    holds_zeros,
    is_packable,
    lost_signs,
    why_not_binary_weight,
)
from bittern.export.passes.per_channel import per_channel
from bittern.export.passes.split_sets import ShiftedSigns, two_values
from bittern.export.passes.views import Arithmetic, BatchNorm, Clamp, Interleave, Pad, PRelu
from bittern.export.passes.views.aten import CONV_TRANSPOSE, pair

aten = torch.ops.aten


def split_conv_transpose(graph: Graph) -> None:
    for node in graph.calls(CONV_TRANSPOSE):
        if (reason := why_not(graph, node)) is None:
            _split(graph, node)
            continue
        lost = lost_signs(graph, node.all_input_nodes[0]) if reason in (REAL_VALUED, REAL_INPUT) else None
        graph.refuse(node, reason if lost is None else lost)
        if lost is not None:
            graph.warn(node, f"computes in float: {lost}")


def why_not(graph: Graph, node: fx.Node) -> str | None:
    """None if convolutions on bits can compute ``node``, a transposed convolution, else why not."""
    named = arguments(node)
    x, weight = named["input"], graph.constant(named["weight"])
    if weight is None:
        return "its weights are computed from the input"
    filters = _swap_channels(weight, named["groups"])
    reason = why_not_binary_weight(filters)
    if reason is not None and (holds_zeros(filters) or two_values(filters)):
        reason = None
    shifted = ShiftedSigns.match(graph, x)
    if not is_packable(x if shifted is None else shifted.signs):
        if Pad.match(x) is not None or shifted is not None:
            return "its input is padded in front of it: pad or crop its result instead"
        return REAL_VALUED if reason else REAL_INPUT
    if reason is not None:
        return f"its input is binary, but {reason}"
    if len(shape(node)) != 4:
        return "its input has no batch dimension"
    return graph.why_not_constant(node, "bias")


@dataclass(frozen=True)
class _Part:
    """On one axis: the ``taps`` of the positions s * m + a of the result, as a convolution reads them, its ``border``
    of zeros in front and behind, and its dilation. Without taps the result is 0.
    """

    taps: tuple[int, ...]
    border: tuple[int, int]
    dilation: int


@dataclass(frozen=True)
class _Axis:
    """The parts of one axis, whose results have ``size`` positions each; the result itself begins at ``crop``."""

    parts: tuple[_Part, ...]
    size: int
    crop: int

    @staticmethod
    def of(size: int, result: int, kernel: int, stride: int, padding: int, dilation: int) -> "_Axis":
        """``size`` positions become ``result``."""
        own = _axis(size, result, kernel, stride, padding, dilation)
        if all(width >= 0 for part in own.parts for width in part.border):
            return own
        # Padding crops both ends of the result; without it no part crops its input.
        whole = _axis(size, result + 2 * padding, kernel, stride, 0, dilation)
        return _Axis(whole.parts, whole.size, padding)


def _axis(size: int, result: int, kernel: int, stride: int, padding: int, dilation: int) -> _Axis:
    step = stride // math.gcd(stride, dilation)
    apart = dilation * step // stride
    positions = -(-result // stride)
    parts = []
    for a in range(stride):
        first = next((t for t in range(min(step, kernel)) if (a + padding - dilation * t) % stride == 0), None)
        taps = () if first is None else tuple(range(first, kernel, step))
        if first is None:  # a tap of weight 0
            parts.append(_Part((), (0, positions - size), 1))
            continue
        before = (len(taps) - 1) * apart - (a + padding - dilation * first) // stride
        behind = positions - size - before + (len(taps) - 1) * apart
        parts.append(_Part(taps[::-1], (before, behind), apart))
    return _Axis(tuple(parts), positions, 0)


def _split(graph: Graph, node: fx.Node) -> None:
    named, own = arguments(node), Provenance.of(node)
    weight, groups = graph.constant(named["weight"]), named["groups"]
    assert weight is not None
    geometry = zip(
        shape(named["input"])[2:],
        shape(node)[2:],
        weight.shape[2:],
        *(pair(named[name]) for name in ("stride", "padding", "dilation")),
        strict=True,
    )
    rows, columns = (_Axis.of(*numbers) for numbers in geometry)
    filters = _swap_channels(weight, groups)
    steps = _steps(graph, node)
    last = steps[-1] if steps else node
    results = []
    for row in rows.parts:
        for column in columns.parts:
            taps = graph.add_constant(_taps(_taps(filters, row, 2), column, 3), node)
            padded = graph.call(
                node,
                aten.constant_pad_nd.default,
                (named["input"], [*column.border, *row.border], 0.0),
                own.auxiliary(),
            )
            options = ([1, 1], [0, 0], [row.dilation, column.dilation], groups)
            result = graph.call(node, aten.conv2d.default, (padded, taps, named["bias"], *options), own.intermediate())
            for step in steps:
                provenance = Provenance(Provenance.of(step).sources, own.path, [None])
                result = graph.call(last, step.target, (result, *step.args[1:]), provenance, step.kwargs)
            results.append(result)
    image = results[0]
    if len(results) > 1:
        image = Interleave.build(graph, last, results, len(columns.parts), own.auxiliary())
    for dim, axis in ((2, rows), (3, columns)):
        if shape(image)[dim] != (size := shape(node)[dim]):
            image = graph.call(last, aten.slice.Tensor, (image, dim, axis.crop, axis.crop + size), own.auxiliary())
    Provenance(Provenance.of(image).sources, own.path, Provenance.of(last).outputs).attach(image)
    graph.replace(last, image)


def _taps(filters: Tensor, part: _Part, dim: int) -> Tensor:
    """The weights of ``filters [O, I / groups, kh, kw]`` that ``part`` of axis ``dim`` multiplies by."""
    if not part.taps:
        return torch.zeros_like(filters.narrow(dim, 0, 1))
    return filters.index_select(dim, torch.tensor(part.taps))


def _swap_channels(weight: Tensor, groups: int) -> Tensor:
    """``[I, O / groups, kh, kw]`` to filters ``[O, I / groups, kh, kw]``."""
    filters: Tensor = weight.unflatten(0, (groups, -1)).transpose(1, 2).flatten(0, 1)
    return filters


def _steps(graph: Graph, node: fx.Node) -> list[fx.Node]:
    """The steps behind ``node`` that treat each channel by itself, as long as nothing else reads what they read."""
    steps: list[fx.Node] = []
    x = node
    while (step := sole_user(x)) is not None and step.args[0] is x and _is_per_channel(graph, step, x):
        steps.append(step)
        x = step
    return steps


def _is_per_channel(graph: Graph, step: fx.Node, x: fx.Node) -> bool:
    if (arithmetic := Arithmetic.match(graph, step)) is not None:
        return per_channel(arithmetic.value, x, 1) is not None
    if (prelu := PRelu.match(step)) is not None:
        return not isinstance(prelu.slope, fx.Node) or graph.constant(prelu.slope) is not None
    return BatchNorm.match(step) is not None or Clamp.match(step) is not None
