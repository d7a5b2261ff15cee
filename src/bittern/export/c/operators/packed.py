"""Packed tensors: bits of floats and floats of bits, pooling, joining, splitting, negating."""

from torch import Size, fx

from bittern.export.c.lowering import Lowering
from bittern.export.c.operators.row import Row
from bittern.export.c.operators.window import window
from bittern.export.c.program import Struct
from bittern.export.graph import arguments, shape


def _pack(lowering: Lowering, node: fx.Node) -> None:
    named = arguments(node)
    size = shape(named["x"])
    source = lowering.read(named["x"]) if named["channel_dim"] == 1 else lowering.rows(named["x"], node)
    channels = size[named["channel_dim"]]
    layer = _pack_struct(size, channels, lowering, named["threshold"])
    result = lowering.result(node)
    lowering.call(node, "bittern_pack", layer, (source, result), (result,))
    lowering.bind(node, result)


def _unpack(lowering: Lowering, node: fx.Node) -> None:
    named = arguments(node)
    result = lowering.result(node)
    layer = _pack_struct(shape(node), named["channels"], lowering, None)
    lowering.call(node, "bittern_unpack", layer, (lowering.read(named["x"]), result), (result,))
    lowering.bind(node, result if named["channel_dim"] == 1 else lowering.from_rows(node, result))


def _pack_struct(size: tuple[int, ...], channels: int, lowering: Lowering, threshold: fx.Node | None) -> Struct:
    pixels = Size(size).numel() // channels
    fields = {"pixels": pixels, "channels": channels, "threshold": lowering.constant(threshold)}
    return Struct("bittern_pack_t", fields)


def _max_pool(lowering: Lowering, node: fx.Node) -> None:
    named = arguments(node)
    n, height, width, words = shape(named["x"])
    out = shape(node)[1:3]
    top, _, left, _ = named["padding"]
    place = window(n, (height, width), out, named["kernel_size"], named["stride"], named["dilation"], (top, left))
    layer = Struct("bittern_max_pool2d_t", {"window": place, "channels": words})
    result = lowering.result(node)
    lowering.call(node, "bittern_max_pool2d", layer, (lowering.read(named["x"]), result), (result,))
    lowering.bind(node, result)


def _negate(lowering: Lowering, node: fx.Node) -> None:
    named = arguments(node)
    source, result = lowering.read(named["x"]), lowering.result(node)
    words = shape(node)[-1]
    fields = {"pixels": result.count // words, "words": words, "mask": lowering.constant(named["mask"])}
    layer = Struct("bittern_negate_t", fields)
    lowering.call(node, "bittern_negate", layer, (source, result), (result,), shared=[(source, result)])
    lowering.bind(node, result)


def _cat(lowering: Lowering, node: fx.Node) -> None:
    named = arguments(node)
    result, words = lowering.result(node), shape(node)[-1]
    first = 0
    for part in (named["a"], named["b"]):
        own = shape(part)[-1]
        sizes = (result.count // words, own)
        lowering.copy(node, lowering.read(part), result, sizes, (own, 1), (words, 1), target_offset=first)
        first += own
    lowering.bind(node, result)


def _slice(lowering: Lowering, node: fx.Node) -> None:
    named = arguments(node)
    result, words, own = lowering.result(node), named["words"], shape(named["x"])[-1]
    sizes = (result.count // words, words)
    lowering.copy(node, lowering.read(named["x"]), result, sizes, (own, 1), (words, 1), source_offset=named["first"])
    lowering.bind(node, result)


ROWS = {
    "bittern::pack": Row(_pack),
    "bittern::unpack": Row(_unpack),
    "bittern::max_pool2d": Row(_max_pool),
    "bittern::negate": Row(_negate),
    "bittern::cat": Row(_cat),
    "bittern::slice": Row(_slice),
}
