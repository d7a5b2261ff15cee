"""Turns a whole epilogue into one integer per channel where only bits leave the layer.

Without a residual the value v is a function of the integer dot product d alone, per channel. So the bit is computed at
export for every d that can occur, with the reference epilogue itself: the result is exact whatever the rounding. If the
bits are ``d < t`` they need no float arithmetic; if they are ``d > t`` the filter's signs are flipped, which negates d.
"""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, fx

from bittern.export.graph import Graph, Provenance, sole_user
from bittern.export.passes.views import PackedLayer, matching
from bittern.export.passes.views.packed import NEGATE
from bittern.ops import layout
from bittern.ops.epilogue import Epilogue, below

_INT32 = torch.iinfo(torch.int32)
_VALUES_AT_ONCE = 2**20
"""Dot products that are computed at a time, of as many channels as fit and of one at least; some 20 bytes each."""


def integer_thresholds(graph: Graph) -> None:
    for layer in matching(graph, PackedLayer.match):
        form, node, geometry = layer.forms.threshold, layer.node, layer.geometry
        if form is None or node.target is not layer.forms.packed:
            continue
        if (reason := why_not(layer)) is not None:
            graph.refuse(node, reason)
            continue
        steps: dict[str, Any] = {
            n: graph.constant(v) if isinstance(v, fx.Node) else v for n, v in layer.epilogue.items()
        }
        negate, negated = _negation(graph, layer)
        found = solve(Epilogue(**steps), graph.constant(layer.threshold), geometry.depth, layer.channels, negated)
        if found is None:
            graph.refuse(node, "its bits change more than once with the dot product (a negative PReLU slope)")
            continue
        integers, flipped = found
        packed_weight = graph.constant(layer.weight)
        assert packed_weight is not None
        signs = layout.unpack_weight(
            packed_weight, layer.channels, geometry.group_channels, geometry.kernel_size, geometry.groups
        )
        signs = torch.where(flipped.reshape(-1, 1, 1, 1), -signs, signs)
        weight = graph.add_constant(layout.pack_weight(signs, geometry.groups), node)
        args = (layer.input, weight, *node.args[2:], graph.add_constant(integers, node))
        own = Provenance.of(node)
        own.flipped = hex_of(flipped)
        bits = graph.call(node, form, args, own if negate is None else _absorbed(own, negate))
        if negate is not None:
            graph.replace(negate, bits)
        graph.replace(node, bits)


def hex_of(flags: Tensor) -> str:
    """``flags`` bool [O] as a number in hexadecimal, flag o in bit o; "" for none."""
    value = sum(1 << int(o) for o in flags.nonzero().flatten())
    return f"{value:x}" if value else ""


def why_not(layer: PackedLayer) -> str | None:
    """None if the bits of ``layer`` depend on its dot product alone, else why not."""
    return "a residual is added before its bits are taken" if "residual" in layer.epilogue else None


def _absorbed(own: Provenance, negate: fx.Node) -> Provenance:
    absorbed = own.absorb(negate)
    absorbed.flipped = own.flipped
    return absorbed


def _negation(graph: Graph, layer: PackedLayer) -> tuple[fx.Node | None, Tensor | None]:
    """The `negate` that alone reads the bits of ``layer``, and its channels as bool ``[O]``."""
    user = sole_user(layer.node)
    mask = None if user is None or user.target is not NEGATE else graph.constant(user.args[1])
    return (None, None) if mask is None else (user, layout.unpack_bits(mask, layer.channels))


def solve(
    epilogue: Epilogue, threshold: Tensor | None, depth: int, channels: int, negated: Tensor | None = None
) -> tuple[Tensor, Tensor] | None:
    """Integers t and flags such that ``bit = d < t``, or ``bit = -d < t`` where the flag is set, for |d| <= depth.

    Args:
        negated: bool ``[channels]``, where the bit is the opposite of the epilogue's.

    Returns:
        int32 ``[channels]`` and bool ``[channels]``; None if some channel's bits change more than once.
    """
    integers, flipped = torch.empty(channels, dtype=torch.int32), torch.empty(channels, dtype=torch.bool)
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
        flipped[part] = bits[-1] & ~bits[0]  # set for large d
        # Set for the `ones` smallest values of d (or of -d): d < -depth + ones. All or none: beyond any d.
        integers[part] = torch.where(bits.all(0), _INT32.max, torch.where(ones == 0, _INT32.min, ones - depth))
    return integers, flipped
