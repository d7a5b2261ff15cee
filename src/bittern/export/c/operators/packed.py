"""Packed tensors: bits of floats and floats of bits, pooling, joining, splitting, negating."""

from torch import Size, fx

from bittern.export.c.context import Context
from bittern.export.c.operators.row import Row
from bittern.export.c.operators.window import window
from bittern.export.c.program import Struct
from bittern.export.graph import arguments, shape


def _pack(context: Context, node: fx.Node) -> None:
    named = arguments(node)
    size = shape(named["x"])
    source = context.read(named["x"]) if named["channel_dim"] == 1 else context.rows(named["x"], node)
    channels = size[named["channel_dim"]]
    layer = _pack_struct(size, channels, context, named["threshold"])
    result = context.result(node)
    context.call(node, "bittern_pack", layer, (source, result), (result,))
    context.bind(node, result)


def _unpack(context: Context, node: fx.Node) -> None:
    named = arguments(node)
    result = context.result(node)
    layer = _pack_struct(shape(node), named["channels"], context, None)
    context.call(node, "bittern_unpack", layer, (context.read(named["x"]), result), (result,))
    if named["channel_dim"] == 1:
        context.bind(node, result)
    else:
        context.from_rows(node, result)


def _pack_struct(size: tuple[int, ...], channels: int, context: Context, threshold: fx.Node | None) -> Struct:
    pixels = Size(size).numel() // channels
    fields = {"pixels": pixels, "channels": channels, "threshold": context.constant(threshold)}
    return Struct("bittern_pack_t", fields)


def _max_pool(context: Context, node: fx.Node) -> None:
    named = arguments(node)
    n, height, width, words = shape(named["x"])
    out = shape(node)[1:3]
    top, _, left, _ = named["padding"]
    place = window(n, (height, width), out, named["kernel_size"], named["stride"], named["dilation"], (top, left))
    layer = Struct("bittern_max_pool2d_t", {"window": place, "channels": words})
    result = context.result(node)
    context.call(node, "bittern_max_pool2d", layer, (context.read(named["x"]), result), (result,))
    context.bind(node, result)


def _negate(context: Context, node: fx.Node) -> None:
    named = arguments(node)
    source, result = context.read(named["x"]), context.result(node)
    words = shape(node)[-1]
    fields = {"pixels": result.count // words, "words": words, "mask": context.constant(named["mask"])}
    layer = Struct("bittern_negate_t", fields)
    context.call(node, "bittern_negate", layer, (source, result), (result,), shared=[(source, result)])
    context.bind(node, result)


def _cat(context: Context, node: fx.Node) -> None:
    named = arguments(node)
    result, words = context.result(node), shape(node)[-1]
    first = 0
    for part in (named["a"], named["b"]):
        own = shape(part)[-1]
        sizes = (result.count // words, own)
        context.copy(node, context.read(part), result, sizes, (own, 1), (words, 1), target_offset=first)
        first += own
    context.bind(node, result)


def _slice(context: Context, node: fx.Node) -> None:
    named = arguments(node)
    result, words, own = context.result(node), named["words"], shape(named["x"])[-1]
    sizes = (result.count // words, words)
    context.copy(node, context.read(named["x"]), result, sizes, (own, 1), (words, 1), source_offset=named["first"])
    context.bind(node, result)


ROWS = {
    "bittern::pack": Row(_pack),
    "bittern::unpack": Row(_unpack),
    "bittern::max_pool2d": Row(_max_pool),
    "bittern::negate": Row(_negate),
    "bittern::cat": Row(_cat),
    "bittern::slice": Row(_slice),
}
