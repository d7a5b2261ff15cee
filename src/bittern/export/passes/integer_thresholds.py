"""Turns a whole epilogue into one integer per channel where only bits leave the layer.

Without a residual the value v is a function of the integer dot product d alone, per channel. So the bit is computed at
export for every d that can occur, with the reference epilogue itself: the result is exact whatever the rounding. If the
bits are ``d < t`` they need no float arithmetic; if they are ``d > t`` the filter's signs are turned, which negates d.
"""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, fx

from bittern.export.graph import Graph, Provenance, sole_user
from bittern.export.passes.binary import NEGATE
from bittern.ops import layout
from bittern.ops.epilogue import Epilogue, below

_INT32 = torch.iinfo(torch.int32)
_VALUES_AT_ONCE = 2**20
"""Dot products of all channels that are computed at a time, at some 20 bytes each; those of one channel at least."""

_bittern = torch.ops.bittern
_FORMS: dict[Any, Any] = {
    _bittern.conv2d_packed.default: _bittern.conv2d_threshold.default,
    _bittern.linear_packed.default: _bittern.linear_threshold.default,
}


def integer_thresholds(graph: Graph) -> None:
    for layer in graph.calls(*_FORMS):
        if (reason := why_not(layer)) is not None:
            graph.refuse(layer, reason)
            continue
        steps: dict[str, Any] = {
            name: graph.constant(value) if isinstance(value, fx.Node) else value for name, value in layer.kwargs.items()
        }
        threshold = steps.pop("threshold", None)
        depth, channels, unpack_arguments = _geometry(layer)
        negate, negated = _negation(graph, layer, channels)
        found = solve(Epilogue(**steps), threshold, depth, channels, negated)
        if found is None:
            graph.refuse(layer, "its bits change more than once with the dot product (a negative PReLU slope)")
            continue
        integers, turned = found
        packed_weight = graph.constant(layer.args[1])
        assert packed_weight is not None
        signs = layout.unpack_weight(packed_weight, *unpack_arguments)
        signs = torch.where(turned.reshape(-1, 1, 1, 1), -signs, signs)
        weight = graph.add_constant(layout.pack_weight(signs, unpack_arguments[3]), layer)
        args = (layer.args[0], weight, *layer.args[2:], graph.add_constant(integers, layer))
        origin = Provenance.of(layer) if negate is None else Provenance.of(layer).absorb(negate)
        bits = graph.call(layer, _FORMS[layer.target], args, origin)
        if negate is not None:
            graph.replace(negate, bits)
        graph.replace(layer, bits)


def _negation(graph: Graph, layer: fx.Node, channels: int) -> tuple[fx.Node | None, Tensor | None]:
    """The `negate` that alone reads the bits of ``layer``, and its channels as bool ``[channels]``."""
    user = sole_user(layer)
    if user is None or user.target is not NEGATE:
        return None, None
    mask = graph.constant(user.args[1])
    assert mask is not None
    return user, layout.unpack_bits(mask, channels)


def why_not(layer: fx.Node) -> str | None:
    """None if the bits of ``layer`` depend on its dot product alone, else why not."""
    return "a residual is added before its bits are taken" if layer.kwargs.get("residual") is not None else None


def solve(
    epilogue: Epilogue, threshold: Tensor | None, depth: int, channels: int, negated: Tensor | None = None
) -> tuple[Tensor, Tensor] | None:
    """Integers t and flags such that ``bit = d < t``, or ``bit = -d < t`` where the flag is set, for |d| <= depth.

    Args:
        negated: bool ``[channels]``, where the epilogue's bit is the opposite of the wanted one.

    Returns:
        int32 ``[channels]`` and bool ``[channels]``; None if some channel's bits change more than once.
    """
    integers, turned = torch.empty(channels, dtype=torch.int32), torch.empty(channels, dtype=torch.bool)
    at_once = max(1, _VALUES_AT_ONCE // (2 * depth + 1))
    every_dot = torch.arange(-depth, depth + 1, dtype=torch.int32).reshape(-1, 1)
    for start in range(0, channels, at_once):
        part = slice(start, min(start + at_once, channels))
        dots = every_dot.expand(-1, part.stop - part.start)
        tensors: dict[str, Any] = {n: value[part] for n, value in vars(epilogue).items() if isinstance(value, Tensor)}
        finish = replace(epilogue, **tensors)
        bits = below(finish(dots, 1), None if threshold is None else threshold[part], 1)
        if negated is not None:
            bits = bits ^ negated[part]
        changes = (bits[1:] != bits[:-1]).sum(0)
        if bool((changes > 1).any()):
            return None
        ones = bits.sum(0)
        turned[part] = bits[-1] & ~bits[0]  # bit is set for large d: turn the filter's signs
        # Set for the `ones` smallest values of d (or of -d): d < -depth + ones. All or none: beyond any d.
        integers[part] = torch.where(bits.all(0), _INT32.max, torch.where(ones == 0, _INT32.min, ones - depth))
    return integers, turned


def _geometry(layer: fx.Node) -> tuple[int, int, tuple[int, int, tuple[int, int], int]]:
    """Filter depth, output channels, and what `layout.unpack_weight` asks for."""
    args: Any = layer.args
    inputs, outputs = args[2], args[3]
    if layer.target is _bittern.linear_packed.default:
        return inputs, outputs, (outputs, inputs, (1, 1), 1)
    (height, width), groups = args[4], args[8]
    return inputs // groups * height * width, outputs, (outputs, inputs // groups, (height, width), groups)
