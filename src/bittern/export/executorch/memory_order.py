"""The order of memory at the seams between XNNPACK, Bittern's operators and ExecuTorch's own kernels.

| reads | takes |
|---|---|
| one of Bittern's operators | images in channels_last memory, rows contiguous |
| a part of XNNPACK | what it was lowered for: it has its own order inside |
| a kernel of ExecuTorch | contiguous; elementwise kernels also another order, if all their tensors share it |
| a view | contiguous |

Who writes a tensor gives it in its own order, and where that is not what a reader takes, one copy stands in front of
the first such reader. XNNPACK makes the copies of float images, by blocks; ExecuTorch those of the rest.

A tensor of one channel or of one pixel is in both orders at once. XNNPACK's delegate calls it contiguous, so everybody
does; with two names for one order of memory the program fails with sizes out of order.

`order_operands` and `remove_idle_copies` run before XNNPACK takes its parts, `order_fallbacks` after, when it is known
what is left to ExecuTorch, and `name_orders` when the tensors of the program are described.
"""

import operator
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, fx
from torch._dispatch.python import enable_python_dispatcher
from torch._guards import detect_fake_mode
from torch.utils._pytree import tree_leaves

from bittern.export.graph import Graph, Provenance, arguments, operator_name
from bittern.export.passes.settle_views import VIEWS, is_viewable
from bittern.ops._library import IMAGE_FORMAT

_READ = ("x", "residual")
_FORMATS = (torch.contiguous_format, torch.channels_last)
_COPIES = ("dim_order_ops::_to_dim_order_copy", "dim_order_ops::_clone_dim_order")


def order_operands(graph: Graph) -> None:
    """Inserts the copies that Bittern's operators and views need into a deployed graph, which is changed."""
    copies: dict[tuple[fx.Node, torch.memory_format], fx.Node] = {}
    for node in graph.calls():
        needs = [*_operands(node)]
        if node.target in VIEWS and not is_viewable(node):
            needs.append((node.all_input_nodes[0], torch.contiguous_format))
        for value, order in needs:
            if _is_in(value, order) and not (order is IMAGE_FORMAT and _is_alias(value)):
                continue
            # In front of its first reader; later ones share it.
            if (value, order) not in copies:
                args, kwargs = (value,), {"memory_format": order}
                own = Provenance.of(value)
                copies[value, order] = graph.call(node, torch.ops.aten._to_copy.default, args, own, kwargs)
            node.replace_input_with(value, copies[value, order])
        graph.revalue(node)
    graph.clean()


def _operands(node: fx.Node) -> Iterator[tuple[fx.Node, torch.memory_format]]:
    """What one of Bittern's operators reads, and in which order."""
    name = operator_name(node)
    # binarize takes any order and keeps it.
    if not name.startswith("bittern::") or name == "bittern::binarize":
        return
    named = arguments(node)
    rows = "in_features" in named or named.get("channel_dim") == -1
    for value in (named.get(name) for name in _READ):
        if isinstance(value, fx.Node) and value.meta["val"].dtype == torch.float32:
            yield value, torch.contiguous_format if rows else IMAGE_FORMAT


def _is_in(value: fx.Node, order: torch.memory_format) -> bool:
    return bool(value.meta["val"].is_contiguous(memory_format=order))


def _is_alias(value: fx.Node) -> bool:
    """Whether ``value`` is a view to torch. ExecuTorch has none: it makes a contiguous tensor, whatever the strides."""
    returns = value.target._schema.returns if hasattr(value.target, "_schema") else ()
    return any(result.alias_info is not None for result in returns)


def remove_idle_copies(module: fx.GraphModule) -> Any:
    """Removes copies of what is in the order that they give, from a program in ExecuTorch's dialect; a `PassResult`.

    What is a view to torch, in the order of its source, ExecuTorch computes as a contiguous tensor. Behind one of one
    channel no copy is left to do, and XNNPACK refuses a part without work.
    """
    from torch.fx.passes.infra.pass_base import PassResult

    idle = [node for node in module.graph.nodes if operator_name(node) in _COPIES and _is_idle(node)]
    for node in idle:
        node.replace_all_uses_with(node.all_input_nodes[0])
        module.graph.erase_node(node)
    module.recompile()
    return PassResult(module, bool(idle))


def _is_idle(copy: fx.Node) -> bool:
    before, after = copy.all_input_nodes[0].meta["val"], copy.meta["val"]
    return bool(before.dtype == after.dtype and before.is_contiguous(memory_format=_format(after)))


def order_fallbacks(module: fx.GraphModule) -> bool:
    """Inserts the copies that ExecuTorch's kernels need, and those back, into a program whose parts XNNPACK has taken.

    Returns:
        Whether there were any. XNNPACK may then take the copies.
    """
    return _Fallbacks(module).run()


class _Fallbacks:
    """Follows the order of every tensor; ``_lowered``: of those whose order has changed, as its readers expect it."""

    def __init__(self, module: fx.GraphModule) -> None:
        from executorch.exir.dialects._ops import ops

        self._module = module
        # XNNPACK takes the first for an image, whatever its rank, and leaves the second.
        self._image_copy = ops.edge.dim_order_ops._to_dim_order_copy.default
        self._other_copy = ops.edge.dim_order_ops._clone_dim_order.default
        self._lowered: dict[fx.Node, Any] = {}
        self._copies: dict[tuple[fx.Node, torch.memory_format], fx.Node] = {}

    def run(self) -> bool:
        for node in list(self._module.graph.nodes):
            if node.op != "call_function":
                continue
            if node.target is operator.getitem:
                if node.args[0] in self._lowered:
                    self._set(node, node.args[0].meta["val"][node.args[1]])
            elif _is_kernel(node):
                self._order_kernel(node)
            elif operator_name(node) not in _COPIES:
                self._order_part(node)
        self._module.recompile()
        return bool(self._copies)

    def _order_part(self, node: fx.Node) -> None:
        """Gives an operator of Bittern the orders that it reads, a part of XNNPACK those that it was lowered for."""
        if operator_name(node).startswith("bittern::"):
            for value, order in _operands(node):
                self._read(node, value, order)
            return
        for value in _tensors(node):
            if value in self._lowered and not _same_order(value.meta["val"], self._lowered[value]):
                self._read(node, value, _format(self._lowered[value]))

    def _order_kernel(self, node: fx.Node) -> None:
        values = _tensors(node)
        if not _share_an_order(node, values):
            for value in values:
                self._read(node, value, torch.contiguous_format)
        if any(value in self._lowered or value in self._copies.values() for value in _tensors(node)):
            self._set(node, _result(node))

    def _read(self, node: fx.Node, value: fx.Node, order: torch.memory_format) -> None:
        if _is_in(value, order):
            return
        if (value, order) not in self._copies:
            rank = value.meta["val"].dim()
            target = self._image_copy if rank == 4 else self._other_copy
            axes = [0, 2, 3, 1] if order is torch.channels_last else list(range(rank))
            with self._module.graph.inserting_before(node):
                copy = self._module.graph.call_function(target, (value,), {"dim_order": axes})
            copy.meta["val"] = _result(copy)
            self._copies[value, order] = copy
        node.replace_input_with(value, self._copies[value, order])

    def _set(self, node: fx.Node, value: Any) -> None:
        self._lowered[node] = node.meta["val"]
        node.meta["val"] = value


def _result(node: fx.Node) -> Any:
    """The fake result of ``node``, from those of its arguments as they are now."""
    args, kwargs = fx.map_arg((node.args, node.kwargs), lambda argument: argument.meta["val"])
    # As in `Graph.revalue`, the Python dispatcher leaves a dynamic batch open.
    with detect_fake_mode((args, kwargs)) or nullcontext(), enable_python_dispatcher():
        return node.target(*args, **kwargs)  # type: ignore[operator]


def name_orders(module: fx.GraphModule) -> None:
    """Calls every tensor of a program contiguous that is, whatever else it is too."""
    from executorch.exir.tensor import TensorSpec

    for node in module.graph.nodes:
        for spec in tree_leaves(node.meta.get("spec")):
            if not isinstance(spec, TensorSpec):
                continue
            order = [axis for axis in spec.dim_order if spec.shape[axis] != 1]
            if order == sorted(order) and list(spec.dim_order) != sorted(spec.dim_order):
                natural = TensorSpec(spec.dtype, torch.Size(spec.shape))
                spec.dim_order, spec.stride = natural.dim_order, natural.stride
        if operator_name(node) in _COPIES:
            node.kwargs = {**node.kwargs, "dim_order": list(node.meta["spec"].dim_order)}


def _is_kernel(node: fx.Node) -> bool:
    """Whether one of ExecuTorch's own kernels computes tensors, ``node``, from tensors."""
    name = operator_name(node)
    if "::" not in name or name.startswith("bittern::") or name in _COPIES:
        return False
    return bool(_tensors(node)) and any(isinstance(value, Tensor) for value in tree_leaves(node.meta["val"]))


def _tensors(node: fx.Node) -> list[fx.Node]:
    return [value for value in node.all_input_nodes if isinstance(value.meta.get("val"), Tensor)]


def _share_an_order(node: fx.Node, values: list[fx.Node]) -> bool:
    """Whether ``node`` computes each number from those in the same place, which is the same in memory."""
    tags = getattr(getattr(node.target, "_op", node.target), "tags", ())
    if torch.Tag.pointwise not in tags or not isinstance(node.meta["val"], Tensor):
        return False
    first = values[0].meta["val"]
    return all(
        value.meta["val"].shape == first.shape and _same_order(value.meta["val"], first) for value in values
    ) and any(first.is_contiguous(memory_format=order) for order in _orders(first))


def _orders(value: Tensor) -> tuple[torch.memory_format, ...]:
    return _FORMATS if value.dim() == 4 else _FORMATS[:1]


def _same_order(a: Any, b: Any) -> bool:
    return all(a.is_contiguous(memory_format=order) == b.is_contiguous(memory_format=order) for order in _orders(a))


def _format(value: Tensor) -> torch.memory_format:
    return torch.contiguous_format if value.is_contiguous() else torch.channels_last
