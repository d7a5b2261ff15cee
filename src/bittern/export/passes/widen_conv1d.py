"""Binary 1-D networks as images of one row: signals ``[N, C, L]`` become ``[N, C, 1, L]``.

Every operator between two 1-D convolutions moves along, so that no view stands between a layer and its epilogue.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import fx

from bittern.export.graph import Graph, Provenance, arguments, shape
from bittern.export.passes.binary import BINARIZE
from bittern.export.passes.per_channel import BATCH_NORM, clamp_bounds, item

aten = torch.ops.aten
_CONVOLUTIONS = (aten.conv1d.default, aten.conv1d.padding)
_COPY = aten._to_copy.default
_PADS = (aten.pad.default, aten.constant_pad_nd.default)


def widen_conv1d(graph: Graph) -> None:
    if not any(_is_binary(node) for node in graph.calls(*_CONVOLUTIONS)):
        return
    for node in graph.calls():
        rewrite = _rewrite(node)
        if rewrite is None:
            continue
        target, args = rewrite(graph, node)
        result = item(node, 0) if node.target is BATCH_NORM else node
        if result is None:
            continue
        image = graph.call(node, target, args, Provenance.of(node))
        if node.target is BATCH_NORM:
            image = graph.outputs(image, node)[0]
        # Images are in channels_last memory, signals are not.
        ordered = graph.call(node, _COPY, (image,), Provenance.of(image), {"memory_format": torch.contiguous_format})
        graph.replace(result, _view(graph, node, ordered, list(shape(result))))
        if result is not node:
            graph.module.graph.erase_node(node)


Arguments = tuple[Any, tuple[Any, ...]]


def _is_binary(conv: fx.Node) -> bool:
    """Whether a `binarize` stands in front of ``conv``, behind any padding."""
    x = conv.args[0]
    while isinstance(x, fx.Node) and x.target in _PADS:
        x = x.args[0]
    return isinstance(x, fx.Node) and x.target is BINARIZE


def _rewrite(node: fx.Node) -> Callable[[Graph, fx.Node], Arguments] | None:
    """How a node on signals becomes one on images; None if it stays."""
    source = node.args[0] if node.args else None
    value = node.meta.get("val")
    ranks = [len(shape(x)) for x in (source,) if isinstance(x, fx.Node) and isinstance(x.meta.get("val"), torch.Tensor)]
    if ranks != [3] or not isinstance(value, (torch.Tensor, tuple)) or not hasattr(node.target, "_schema"):
        return None
    if node.target in _CONVOLUTIONS:
        return _convolution
    if node.target in _PADS and _pads_with_a_number(arguments(node)):
        return _same_arguments
    if node.target is BINARIZE or node.target is BATCH_NORM or clamp_bounds(node, arguments(node)) is not None:
        return _same_arguments
    if node.target in (aten.prelu.default, aten.leaky_relu.default):
        return _same_arguments
    if node.target in (aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor) and not node.kwargs:
        return _elementwise
    if node.target is aten.max_pool1d.default:
        return _max_pool
    return None


def _pads_with_a_number(named: dict[str, Any]) -> bool:
    """Along the row alone. Of the other modes, torch pads two axes of an image or none."""
    return len(named["pad"]) == 2 and named.get("mode", "constant") == "constant"


def _convolution(graph: Graph, node: fx.Node) -> Arguments:
    named = arguments(node)
    padding = named["padding"]
    weight = _image(graph, node, named["weight"])
    row = [
        _one(named["stride"]),
        padding if isinstance(padding, str) else [0, *_ints(padding)],
        _one(named["dilation"]),
    ]
    target = aten.conv2d.padding if isinstance(padding, str) else aten.conv2d.default
    return target, (_image(graph, node, named["input"]), weight, named["bias"], *row, named["groups"])


def _same_arguments(graph: Graph, node: fx.Node) -> Arguments:
    return node.target, (_image(graph, node, node.args[0]), *node.args[1:])


def _elementwise(graph: Graph, node: fx.Node) -> Arguments:
    return node.target, tuple(_image(graph, node, a) if isinstance(a, fx.Node) else a for a in node.args)


def _max_pool(graph: Graph, node: fx.Node) -> Arguments:
    named = arguments(node)
    size = _one(named["kernel_size"])
    stride = _one(named["stride"]) if named["stride"] else size
    window = (size, stride, [0, *_ints(named["padding"])], _one(named["dilation"]), named["ceil_mode"])
    return aten.max_pool2d.default, (_image(graph, node, named["self"]), *window)


def _ints(value: Any) -> list[int]:
    return [value] if isinstance(value, int) else list(value)


def _one(value: Any) -> list[int]:
    """A stride, dilation or size along the row, and 1 across it."""
    return [1, *_ints(value)]


def _image(graph: Graph, before: fx.Node, x: Any) -> fx.Node:
    """``x`` with an axis of one row; a view that has just removed that axis is undone. Constants stay constants.

    One number stays one number.
    """
    assert isinstance(x, fx.Node)
    if not shape(x):
        return x
    constant = graph.constant(x)
    if constant is not None:
        return graph.add_constant(constant.unsqueeze(-2), before)
    inner = x.args[0] if x.target is aten.view.default else None
    form = [*shape(x)[:-1], 1, shape(x)[-1]]
    if isinstance(inner, fx.Node) and inner.target is _COPY and list(shape(inner)) == form:
        return inner.args[0]  # type: ignore[return-value]
    return _view(graph, before, x, form)


def _view(graph: Graph, before: fx.Node, x: fx.Node, form: list[Any]) -> fx.Node:
    sizes = [size if isinstance(size, int) else -1 for size in form]
    return graph.call(before, aten.view.default, (x, sizes), Provenance((), Provenance.of(x).path, [None]))
