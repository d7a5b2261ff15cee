"""1-D networks as images of one row: signals ``[N, C, L]`` become ``[N, C, 1, L]``.

For networks with binary convolutions, pooling or resizing, which have no kernels for signals. Every operator between
them moves along, so that no view stands between a layer and its epilogue.
"""

import operator
from typing import Any

import torch
from torch import fx

from bittern.export.graph import Graph, Provenance, arguments, shape, view_shape
from bittern.export.passes.signal_forms import CONV_TRANSPOSE1D, CONVOLUTIONS, FORMS, OVER_LENGTH, PAIRS, ints, row
from bittern.export.passes.signs import BINARIZE
from bittern.export.passes.views import BatchNorm, Clamp, PRelu
from bittern.export.passes.views.aten import CONV_TRANSPOSE, PADS

aten = torch.ops.aten
_ELEMENTWISE = (aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor)
_COPY = aten._to_copy.default


def widen_conv1d(graph: Graph) -> None:
    if not any(map(_needs_images, graph.calls())):
        return
    for node in graph.calls():
        if why_not(node) is not None:
            continue
        image = _widen(graph, node)
        read = node
        if node.target in PAIRS:  # of the maxima and their places
            image = graph.call(node, operator.getitem, (image, 0), Provenance.of(image))
            read = next(iter(node.users))
        # Images are in channels_last memory, signals are not.
        order = {"memory_format": torch.contiguous_format}
        ordered = graph.call(node, _COPY, (image,), Provenance.of(image), order)
        graph.replace(read, _view(graph, node, ordered, view_shape(read)))
        if read is not node:
            graph.module.graph.erase_node(node)


def why_not(node: fx.Node) -> str | None:
    """None if ``node`` computes a signal and has a form for images, else why not."""
    source = node.args[0] if node.args else None
    if not isinstance(source, fx.Node) or not _is_signal(source):
        return "it has no signal"
    if node.target in PAIRS:
        if len(node.users) != 1 or next(iter(node.users)).args[1:] != (0,):
            return "the places of the maxima are read"
    elif not isinstance(node.meta.get("val"), torch.Tensor):
        return "it has no signal"
    if node.target in PADS:
        named = arguments(node)
        # Of the other modes, torch pads two axes of an image or none.
        plain = len(named["pad"]) == 2 and named.get("mode", "constant") == "constant"
        return None if plain else "it pads with values of the signal"
    if node.target in _ELEMENTWISE:
        return "it has a factor alpha" if node.kwargs else None
    if node.target in OVER_LENGTH:
        named = arguments(node)
        dims = [axis % 3 for axis in ints([] if named["dim"] is None else named["dim"])]
        return None if dims == [2] and named.get("dtype") is None else "it reads other axes than the length"
    if node.target in (*CONVOLUTIONS, CONV_TRANSPOSE1D, BINARIZE, *FORMS):
        return None
    per_channel = BatchNorm.match(node) or Clamp.match(node) or PRelu.match(node)
    return None if per_channel is not None else "it has no form for images"


def _is_signal(node: fx.Node) -> bool:
    return isinstance(node.meta.get("val"), torch.Tensor) and len(shape(node)) == 3


def _needs_images(node: fx.Node) -> bool:
    """Whether ``node`` has a fast kernel for images alone: pooling, resizing, a convolution of signs."""
    if node.target in (*CONVOLUTIONS, CONV_TRANSPOSE1D):
        x = node.all_input_nodes[0]
        while x.target in PADS:
            x = x.all_input_nodes[0]
        return x.target is BINARIZE
    return node.target in FORMS and why_not(node) is None


def _widen(graph: Graph, node: fx.Node) -> fx.Node:
    """The call of ``node`` on images."""
    named, target, provenance = arguments(node), node.target, Provenance.of(node)
    if target in _ELEMENTWISE:
        images = [_image(graph, node, value) if isinstance(value, fx.Node) else value for value in node.args]
        return graph.call(node, target, images, provenance)
    args = (_image(graph, node, node.all_input_nodes[0]), *node.args[1:])
    if target in FORMS:
        target, rest = FORMS[target]
        args = (args[0], *rest(named))
    elif target in CONVOLUTIONS:
        padding = named["padding"]
        target = aten.conv2d.padding if isinstance(padding, str) else aten.conv2d.default
        padding = padding if isinstance(padding, str) else [0, *ints(padding)]
        weight, dilation = _image(graph, node, named["weight"]), row(named["dilation"])
        args = (args[0], weight, named["bias"], row(named["stride"]), padding, dilation, named["groups"])
    elif target is CONV_TRANSPOSE1D:
        sizes = [row(named["stride"]), [0, *ints(named["padding"])], [0, *ints(named["output_padding"])]]
        weight = _image(graph, node, named["weight"])
        args = (args[0], weight, named["bias"], *sizes, named["groups"], row(named["dilation"]))
        target = CONV_TRANSPOSE
    return graph.call(node, target, args, provenance)


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


def _view(graph: Graph, before: fx.Node, x: fx.Node, form: Any) -> fx.Node:
    sizes = [size if isinstance(size, int) else -1 for size in form]
    return graph.call(before, aten.view.default, (x, sizes), Provenance.of(x).auxiliary())
