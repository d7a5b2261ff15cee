"""Captures a trained module as a functional graph of ATen operators and `bittern::binarize`."""

import io
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, redirect_stderr
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from bittern.export.errors import ExportError
from bittern.export.graph import Graph, Provenance, input_nodes, operator_name, view_shape
from bittern.export.own_copy import as_module, own_copy
from bittern.export.quiet import third_party_quiet
from bittern.export.refusals import check_graph, failure
from bittern.export.replay import replay
from bittern.export.signature import Call, Example, call_of, flat_calls, signature_of
from bittern.ops._library import IMAGE_FORMAT
from bittern.runtime.signature import Signature

_VIEWS = (torch.ops.aten.view.default, torch.ops.aten._unsafe_view.default, torch.ops.aten.reshape.default)


@dataclass(frozen=True)
class CapturedNode:
    """An operator call of the training graph. ``path``: the module that made it; ``operator``: ``namespace::name``."""

    name: str
    path: str
    operator: str


@dataclass(frozen=True)
class Captured:
    """A trained module as a graph of operators: what every later stage starts from.

    Args:
        graph: the training graph, of flat lists of tensors. Later stages work on copies of it.
        inputs: one batch, on the CPU, in the order of the signature.
        signature: the names, shapes and dtypes of inputs and outputs, and the structure of the result.
        max_batch: the graph takes any batch from 1 to this; None: only the example's.
        nodes: the operator calls that compute tensors, in order.
        module: what was captured, as it ran: a copy in evaluation mode, on the CPU, which takes and gives flat lists
            (`flat_calls`). It is what files are compared with.
        remarks: what was done to the example, in sentences for the user.
    """

    graph: Graph
    inputs: tuple[Tensor, ...]
    signature: Signature
    max_batch: int | None
    nodes: tuple[CapturedNode, ...]
    module: nn.Module
    remarks: tuple[str, ...] = ()

    @property
    def input_shape(self) -> tuple[int, ...]:
        """``[N, ...]`` of the first input, of the largest batch."""
        return self.signature.inputs[0].shape

    @property
    def batch(self) -> int:
        """The largest number of images."""
        return self.signature.batch

    @property
    def rounds(self) -> bool:
        """Whether the network itself rounds floats to steps, between which rounding errors decide."""
        return bool(self.graph.calls(torch.ops.aten.round.default))

    @property
    def trace(self) -> tuple[Tensor, ...]:
        """The inputs to trace with, as the engine will see them."""
        batched = [spec.batched for spec in self.signature.inputs]
        return tuple(map(channels_last, _trace(self.inputs, batched, self.max_batch)))

    @property
    def dynamic_shapes(self) -> Any:
        """What torch.export is told of the inputs' shapes."""
        return _dynamic_shapes([spec.batched for spec in self.signature.inputs], self.max_batch)


def channels_last(example: Tensor) -> Tensor:
    """``example`` as the engine will see it: images of floats in channels_last memory, other tensors contiguous."""
    if example.dim() == 4 and example.is_floating_point():
        return torch.empty_like(example, memory_format=IMAGE_FORMAT).copy_(example)
    return example.contiguous()


def capture(module: nn.Module, example: Example, max_batch: int | None = None) -> Captured:
    """Captures ``module`` in evaluation mode, on the CPU, for inputs shaped like ``example``.

    The module is copied: its mode, device and weights stay as they are.

    Args:
        example: float32 ``[N, ...]``; N is the batch, if ``max_batch`` is None. A tuple, or a dict by the names of
            `forward`'s parameters, for a module of several inputs: float32, int64, int32, uint8 or bool (float16,
            bfloat16 and float64 are taken as float32). The first input has the batch in front, and so have all with
            the same first dimension; others are the same for all images.
        max_batch: the graph takes any batch from 1 to this, whatever the example's.

    Raises:
        ExportError: ``max_batch`` is no positive integer, the example does not fit `forward` or the engine, a parameter
            is NaN, infinite or not float32, torch.export refuses, or the graph computes what the engine cannot. The
            message names the module, the operator and the way out.
    """
    if max_batch is not None and (not isinstance(max_batch, int) or isinstance(max_batch, bool) or max_batch < 1):
        raise ExportError(f"max_batch must be an integer of at least 1, got {max_batch!r}")
    module = as_module(module)
    call = call_of(module, example)
    module = _copy(module)
    _check_parameters(module)
    module = flat_calls(module, call)
    try:
        graph = _graph(module, call, max_batch)
    except ExportError:
        if max_batch is not None:
            _graph(module, call, None)  # where that fails too, its reason is not the dynamic batch
        raise
    signature = signature_of(module, call, graph, max_batch or _batch(call))
    nodes = tuple(map(_described, filter(_is_tensor, graph.calls())))
    return Captured(graph, call.tensors, signature, max_batch, nodes, module, call.remarks)


def _batch(call: Call) -> int:
    return next(tensor.shape[0] for tensor, batched in zip(call.tensors, call.batched, strict=True) if batched)


def _graph(module: nn.Module, call: Call, max_batch: int | None) -> Graph:
    trace = _trace(call.tensors, call.batched, max_batch)
    shapes = _dynamic_shapes(call.batched, max_batch)
    try:
        return _traced(module, trace, shapes, max_batch, nullcontext())
    except ExportError as refused:
        # What stands in the way may depend on the parameters alone.
        if (replaying := replay(module, trace)) is None:
            raise
        try:
            return _traced(module, trace, shapes, max_batch, replaying)
        except ExportError:
            raise refused from None


def _traced(
    module: nn.Module,
    trace: Sequence[Tensor],
    shapes: Any,
    max_batch: int | None,
    mode: AbstractContextManager[object],
) -> Graph:
    try:
        # Where it fails, torch prints the graph so far; the error says what matters.
        with third_party_quiet(), redirect_stderr(io.StringIO()), torch.no_grad(), mode:
            inputs = tuple(tensor.contiguous() for tensor in trace)
            program = torch.export.export(module, inputs, dynamic_shapes=shapes)
            program = program.run_decompositions({})
            captured = program.module(check_guards=False)
    except ExportError:
        raise
    except Exception as error:
        raise failure(error, module, trace, max_batch) from error
    graph = Graph(captured)
    check_graph(graph, program.graph_signature)
    _tidy(graph)
    for node in input_nodes(graph):
        node.meta["val"] = channels_last(node.meta["val"])
    return graph


def _dynamic_shapes(batched: Sequence[bool], max_batch: int | None) -> Any:
    if max_batch is None or max_batch == 1:
        return None
    batch = torch.export.Dim("batch", min=1, max=max_batch)
    return tuple({0: batch} if each else None for each in batched)


def _described(node: fx.Node) -> CapturedNode:
    return CapturedNode(node.name, Provenance.of(node).path, operator_name(node))


def _is_tensor(node: fx.Node) -> bool:
    """Whether ``node`` is an operator's result: not an item of one, nor a size computed from a dynamic batch."""
    return hasattr(node.target, "_schema") and not isinstance(node.meta.get("val"), (torch.SymInt, int))


def _trace(tensors: Sequence[Tensor], batched: Sequence[bool], max_batch: int | None) -> tuple[Tensor, ...]:
    """The example, as two images where the batch is dynamic: torch would take a batch of 1 for a fixed one."""
    if max_batch is None:
        return tuple(tensors)
    count = min(2, max_batch)
    return tuple(torch.cat([t, t])[:count] if b else t for t, b in zip(tensors, batched, strict=True))


def _copy(module: nn.Module) -> nn.Module:
    if isinstance(module, torch.jit.ScriptModule):
        raise ExportError(f"{type(module).__name__} is TorchScript; export the module that it was made from")
    for name, value in (*module.named_parameters(), *module.named_buffers()):
        if nn.parameter.is_lazy(value):
            raise ExportError(f"{name} has no shape yet; run the lazy module once on an example, then export it")
        if value.is_meta:
            raise ExportError(
                f"{name} is on the meta device and has no values; build {type(module).__name__} on the CPU"
            )
    try:
        return own_copy(module).cpu().eval().requires_grad_(False)
    except Exception as error:
        raise ExportError(
            f"{type(module).__name__} cannot be copied, which export does first: {error}. "
            "Remove its hooks, and detach tensors that carry a gradient graph"
        ) from error


def _check_parameters(module: nn.Module) -> None:
    for name, value in (*module.named_parameters(), *module.named_buffers()):
        if value.is_complex() or (value.is_floating_point() and value.dtype != torch.float32):
            raise ExportError(f"{name} is {value.dtype}; the engine computes in float32: export module.float()")
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise ExportError(
                f"{name} holds NaN or infinite values: the training run diverged; export an earlier checkpoint"
            )


def _tidy(graph: Graph) -> None:
    """Lets views infer a dynamic batch, as XNNPACK takes no sizes that are computed at run time; removes assertions."""
    for node in graph.calls(torch.ops.aten._assert_tensor_metadata.default):
        graph.module.graph.erase_node(node)
    for node in graph.calls(*_VIEWS):
        sizes: Any = node.args[1]
        symbols = [size for size in sizes if isinstance(size, fx.Node)]
        inferred = view_shape(node)
        if len(symbols) == 1 and inferred.count(-1) == 1:
            node.args = (node.args[0], inferred)
    graph.module.graph.eliminate_dead_code()
