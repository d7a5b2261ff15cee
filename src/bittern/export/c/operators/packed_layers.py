"""Layers on packed weights: `bittern::conv2d`, `linear` and their forms, on bits and on floats."""

from typing import Any

import torch
from torch import Tensor, fx

from bittern.export.c.lowering import Lowering
from bittern.export.c.operators.row import Row
from bittern.export.c.operators.window import rows_as_images, window
from bittern.export.c.program import Buffer, Struct
from bittern.export.graph import shape
from bittern.export.passes.views.packed import LAYERS, PACKED_CONV2D, PACKED_LINEAR, PackedLayer
from bittern.ops import layout
from bittern.ops.conv2d import Geometry

_RANGES = {"dot_range": ("dot_min", "dot_max"), "act_range": ("act_min", "act_max")}
_TENSORS = ("mul", "add", "act_slope", "shift_in", "shift_slope", "shift_out")


def _lower(lowering: Lowering, node: fx.Node) -> None:
    layer = PackedLayer.match(node)
    assert layer is not None
    threshold = lowering.constant(layer.threshold)
    integers = layer.forms.threshold is node.target
    binary = layer.forms in (PACKED_CONV2D, PACKED_LINEAR)
    fields = {
        "window": _window(layer),
        **(_bits(layer, lowering) if binary else _floats(layer, lowering)),
        **({"dot_threshold": threshold.long()} if integers and threshold is not None else {}),
        "epilogue": _epilogue(layer, lowering, None if integers else threshold),
    }
    source = lowering.read(layer.input) if layer.channel_dim == 1 else lowering.rows(layer.input, node)
    residual = _residual(lowering, layer)
    values, bits = _outputs(lowering, layer)
    writes = [each for each in (values, bits) if each is not None]
    shared = [(residual, values)] if residual is not None and values is not None else []
    name = "bittern_conv2d" if binary else "bittern_conv2d_weight_only"
    operands: list[Buffer | None] = [source, residual, values, bits]
    scratch = []
    if binary:
        geometry = layer.geometry
        taps = geometry.kernel_size[0] * geometry.kernel_size[1]
        scratch = [lowering.scratch(node, 2 * taps * _tap_words(geometry))]
    lowering.call(
        node, name, Struct(f"{name}_t", fields), (*operands, *scratch), writes, scratch=scratch, shared=shared
    )
    if layer.channel_dim != 1 and values is not None:
        results = node.meta["val"]
        writes[0] = lowering.from_rows(node, values, results[0] if isinstance(results, (tuple, list)) else results)
    lowering.bind(node, *writes)


def _window(layer: PackedLayer) -> Struct:
    size = shape(layer.input)
    if layer.channel_dim != 1:
        return rows_as_images(torch.Size(size[:-1]).numel())
    geometry = layer.geometry
    binary = layer.forms is PACKED_CONV2D
    n, height, width = (size[0], size[1], size[2]) if binary else (size[0], size[2], size[3])
    top, _, left, _ = geometry.padding
    out = geometry.output_size(height, width)
    return window(n, (height, width), out, geometry.kernel_size, geometry.stride, geometry.dilation, (top, left))


def _tap_words(geometry: Geometry) -> int:
    """The most words in which the channels of a group lie."""
    channels, words = geometry.group_channels, layout.WORD_BITS
    return max(layout.words(group * channels % words + channels) for group in range(geometry.groups))


def _bits(layer: PackedLayer, lowering: Lowering) -> dict[str, Any]:
    geometry = layer.geometry
    in_words, tap_words = layout.words(geometry.in_channels), _tap_words(geometry)
    signs = _signs(layer, lowering)
    filters, channels = signs.shape[:2]
    group = torch.arange(filters) // (filters // geometry.groups)
    first = (group * channels // layout.WORD_BITS).clamp(max=in_words - tap_words)
    positions = (group * channels - layout.WORD_BITS * first).view(-1, 1, 1) + torch.arange(channels)
    taps = signs.flatten(2).transpose(1, 2) < 0  # [O, taps, C/groups]
    bits = taps.new_zeros(filters, taps.shape[1], tap_words * layout.WORD_BITS)
    weight = layout.pack_bits(bits.scatter_(2, positions.expand(taps.shape), taps))
    return {
        "in_words": in_words,
        "out_channels": filters,
        "groups": geometry.groups,
        "group_channels": channels,
        "tap_words": tap_words,
        "pad_value": geometry.pad_value,
        "weight": weight.contiguous(),
    }


def _floats(layer: PackedLayer, lowering: Lowering) -> dict[str, Any]:
    bits = _signs(layer, lowering).flatten(2).transpose(1, 2) < 0
    weight = layout.pack_bits(bits).contiguous()
    return {"in_channels": layer.geometry.in_channels, "out_channels": layer.channels, "weight": weight}


def _signs(layer: PackedLayer, lowering: Lowering) -> Tensor:
    geometry = layer.geometry
    packed = lowering.constant(layer.weight)
    if packed is None:
        lowering.refuse(layer.node, "has weights that are computed from the input, which the C kernels cannot read")
    assert packed is not None
    return layout.unpack_weight(
        packed, geometry.out_channels, geometry.group_channels, geometry.kernel_size, geometry.groups
    )


def _epilogue(layer: PackedLayer, lowering: Lowering, threshold: Tensor | None) -> Struct:
    fields: dict[str, Any] = {}
    for name, (low, high) in _RANGES.items():
        ends = layer.epilogue.get(low), layer.epilogue.get(high)
        if ends != (None, None):
            bounds = [
                default if end is None else end for end, default in zip(ends, (-torch.inf, torch.inf), strict=True)
            ]
            fields[name] = torch.tensor(bounds, dtype=torch.float32)
    for name in _TENSORS:
        if name in layer.epilogue:
            value = lowering.constant(layer.epilogue[name])
            if value is None:
                lowering.refuse(
                    layer.node, f"has a {name} that is computed from the input, which C kernels cannot read"
                )
            fields[name] = value
    if threshold is not None:
        fields["threshold"] = threshold
    return Struct("bittern_epilogue_t", fields)


def _residual(lowering: Lowering, layer: PackedLayer) -> Buffer | None:
    node = layer.epilogue.get("residual")
    if node is None:
        return None
    return lowering.read(node) if layer.channel_dim == 1 else lowering.rows(node, layer.node)


def _outputs(lowering: Lowering, layer: PackedLayer) -> tuple[Buffer | None, Buffer | None]:
    node, forms = layer.node, layer.forms
    results = node.meta["val"]
    if node.target is forms.float_packed:
        return lowering.result(node, results[0]), lowering.result(node, results[1], "_bits")
    buffer = lowering.result(node)
    return (buffer, None) if node.target is forms.value else (None, buffer)


ROWS = {str(operator._schema.name): Row(_lower) for forms in LAYERS for operator in forms.operators}
