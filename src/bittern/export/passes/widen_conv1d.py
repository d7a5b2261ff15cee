"""Binary 1-D networks as images of one row: signals ``[N, C, L]`` become ``[N, C, 1, L]``.

Every operator between two 1-D convolutions moves along, so that no view stands between a layer and its epilogue.
"""

from typing import Any

import torch
from torch import fx

from bittern.export.graph import Graph, Provenance, arguments, shape
from bittern.export.passes.signs import BINARIZE
from bittern.export.passes.views import BatchNorm, Clamp, PRelu
from bittern.export.passes.views.aten import PADS

aten = torch.ops.aten
_CONVOLUTIONS = (aten.conv1d.default, aten.conv1d.padding)
_ELEMENTWISE = (aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor)
_COPY = aten._to_copy.default


def widen_conv1d(graph: Graph) -> None:
    if not any(_is_binary(node) for node in graph.calls(*_CONVOLUTIONS)):
        return
    for node in graph.calls():
        if why_not(node) is not None:
            continue
        image = _widen(graph, node)
        # Images are in channels_last memory, signals are not.
        order = {"memory_format": torch.contiguous_format}
        ordered = graph.call(node, _COPY, (image,), Provenance.of(image), order)
        graph.replace(node, _view(graph, node, ordered, shape(node)))


def why_not(node: fx.Node) -> str | None:
    """None if ``node`` computes a signal and has a form for images, else why not."""
    source = node.args[0] if node.args else None
    if not isinstance(source, fx.Node) or not _is_signal(source) or not isinstance(node.meta.get("val"), torch.Tensor):
        return "it has no signal"
    if node.target in PADS:
        named = arguments(node)
        # Of the other modes, torch pads two axes of an image or none.
        plain = len(named["pad"]) == 2 and named.get("mode", "constant") == "constant"
        return None if plain else "it pads with values of the signal"
    if node.target in _ELEMENTWISE:
        return "it has a factor alpha" if node.kwargs else None
    if node.target in (*_CONVOLUTIONS, aten.max_pool1d.default, BINARIZE):
        return None
    per_channel = BatchNorm.match(node) or Clamp.match(node) or PRelu.match(node)
    return None if per_channel is not None else "it has no form for images"


def _is_signal(node: fx.Node) -> bool:
    return isinstance(node.meta.get("val"), torch.Tensor) and len(shape(node)) == 3


def _is_binary(conv: fx.Node) -> bool:
    """Whether a `binarize` stands in front of ``conv``, behind any padding."""
    x = conv.all_input_nodes[0]
    while x.target in PADS:
        x = x.all_input_nodes[0]
    return x.target is BINARIZE


def _widen(graph: Graph, node: fx.Node) -> fx.Node:
    """The call of ``node`` on images."""
    named, target, provenance = arguments(node), node.target, Provenance.of(node)
    if target in _ELEMENTWISE:
        images = [_image(graph, node, value) if isinstance(value, fx.Node) else value for value in node.args]
        return graph.call(node, target, images, provenance)
    args = (_image(graph, node, node.all_input_nodes[0]), *node.args[1:])
    if target in _CONVOLUTIONS:
        padding = named["padding"]
        target = aten.conv2d.padding if isinstance(padding, str) else aten.conv2d.default
        padding = padding if isinstance(padding, str) else [0, *_ints(padding)]
        weight, dilation = _image(graph, node, named["weight"]), _row(named["dilation"])
        args = (args[0], weight, named["bias"], _row(named["stride"]), padding, dilation, named["groups"])
    elif target is aten.max_pool1d.default:
        target, size = aten.max_pool2d.default, _row(named["kernel_size"])
        stride, padding = _row(named["stride"]) if named["stride"] else size, [0, *_ints(named["padding"])]
        args = (args[0], size, stride, padding, _row(named["dilation"]), named["ceil_mode"])
    return graph.call(node, target, args, provenance)


def _ints(value: Any) -> list[int]:
    return [value] if isinstance(value, int) else list(value)


def _row(value: Any) -> list[int]:
    """A stride, dilation or size along the row, and 1 across it."""
    return [1, *_ints(value)]


def _image(graph: Graph, before: fx.Node, x: fx.Node) -> fx.Node:
    """``x`` with an axis of one row; a view that has just removed that axis is undone. Constants stay constants.

    One number stays one number.
    """
    if not shape(x):
        return x
    constant = graph.constant(x)
    if constant is not None:
        return graph.add_constant(constant.unsqueeze(-2), before)
    form = (*shape(x)[:-1], 1, shape(x)[-1])
    inner = x.all_input_nodes[0] if x.target is aten.view.default else x
    if inner is not x and inner.target is _COPY and shape(inner) == form:
        return inner.all_input_nodes[0]
    return _view(graph, before, x, form)


def _view(graph: Graph, before: fx.Node, x: fx.Node, form: tuple[int, ...]) -> fx.Node:
    sizes = [size if isinstance(size, int) else -1 for size in form]
    return graph.call(before, aten.view.default, (x, sizes), Provenance.of(x).auxiliary())
