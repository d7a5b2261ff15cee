"""Captures a trained module as a functional graph of ATen operators and `bittern::binarize`."""

import copy
import inspect
import io
from contextlib import redirect_stderr
from typing import Any

import torch
from torch import Tensor, fx, nn

from bittern.export.errors import ExportError
from bittern.export.graph import Graph
from bittern.export.quiet import third_party_quiet
from bittern.export.refusals import check_graph, failure
from bittern.ops._library import image_format

_VIEWS = (torch.ops.aten.view.default, torch.ops.aten._unsafe_view.default, torch.ops.aten.reshape.default)


def channels_last(example: Tensor) -> Tensor:
    """``example`` as the engine will see it: images in channels_last memory, other tensors contiguous."""
    if example.dim() == 4:
        return torch.empty_like(example, memory_format=image_format(example.shape)).copy_(example)
    return example.contiguous()


def capture(module: nn.Module, example: Tensor, max_batch: int | None = None) -> Graph:
    """Exports ``module`` in evaluation mode, on the CPU, for inputs shaped like ``example``.

    The module is copied: its mode, device and weights stay as they are.

    Args:
        max_batch: the graph takes any batch from 1 to this; None: only the example's.

    Raises:
        ExportError: the example is no float32 tensor, a parameter is NaN, infinite or no float32, torch.export refuses,
            or the graph computes what the engine cannot. The message names the module, the operator and the way out.
    """
    _check_example(example)
    module = _copy(module)
    _check_parameters(module)
    _check_signature(module, example)
    trace = tracing_example(example.cpu(), max_batch)
    try:
        # Where it fails, torch prints the graph so far; the error says what matters.
        with third_party_quiet(), redirect_stderr(io.StringIO()), torch.no_grad():
            dynamic = dynamic_shapes(max_batch)
            program = torch.export.export(module, (channels_last(trace),), dynamic_shapes=dynamic)
            program = program.run_decompositions({})
            captured = program.module(check_guards=False)
    except Exception as error:
        raise failure(error, module, trace, max_batch) from error
    graph = Graph(captured)
    check_graph(graph, program.graph_signature)
    _tidy(graph)
    return graph


def tracing_example(example: Tensor, max_batch: int | None) -> Tensor:
    """``example``, as two images where the batch is dynamic: torch takes a batch of 1 for one that is fixed."""
    if max_batch is None or max_batch == 1:
        return example if max_batch is None else example[:1]
    return torch.cat([example, example])[:2]


def dynamic_shapes(max_batch: int | None) -> Any:
    """What torch.export is told of the input's shape."""
    if max_batch is None or max_batch == 1:
        return None
    return ({0: torch.export.Dim("batch", min=1, max=max_batch)},)


def _check_example(example: object) -> None:
    if not isinstance(example, Tensor) or example.dtype != torch.float32:
        got = example.dtype if isinstance(example, Tensor) else type(example).__name__
        raise ExportError(f"the example input must be one float32 tensor, got {got}; use example.float()")
    if example.dim() == 0:
        raise ExportError("the example input has no dimensions; its first one must be the batch")
    if 0 in example.shape:
        raise ExportError(f"the example input is empty: {list(example.shape)}; give at least one image")


def _copy(module: nn.Module) -> nn.Module:
    if isinstance(module, torch.jit.ScriptModule):
        raise ExportError(f"{type(module).__name__} is TorchScript; export the module that it was made from")
    for name, value in (*module.named_parameters(), *module.named_buffers()):
        if nn.parameter.is_lazy(value):
            raise ExportError(f"{name} has no shape yet; run the lazy module once on an example, then export it")
    try:
        return copy.deepcopy(module).cpu().eval().requires_grad_(False)
    except Exception as error:
        raise ExportError(
            f"{type(module).__name__} cannot be copied, which export does first: {error}. "
            "Give a module without hooks and without tensors that carry a graph"
        ) from error


def _check_parameters(module: nn.Module) -> None:
    for name, value in (*module.named_parameters(), *module.named_buffers()):
        if value.is_complex() or (value.is_floating_point() and value.dtype != torch.float32):
            raise ExportError(f"{name} is {value.dtype}; the engine computes in float32: export module.float()")
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise ExportError(f"{name} holds NaN or infinite values: the training run diverged; export an earlier one")


def _check_signature(module: nn.Module, example: Tensor) -> None:
    try:
        signature = inspect.signature(module.forward)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(example)
    except TypeError:
        raise ExportError(
            f"{type(module).__name__}.forward{signature} does not take one tensor alone; "
            "wrap it in a module whose forward(x) does, with the other inputs fixed"
        ) from None


def _tidy(graph: Graph) -> None:
    """Lets views infer a dynamic batch, as XNNPACK takes no sizes that are computed at run time; removes assertions."""
    for node in graph.calls(torch.ops.aten._assert_tensor_metadata.default):
        graph.module.graph.erase_node(node)
    for node in graph.calls(*_VIEWS):
        sizes: Any = node.args[1]
        symbols = [size for size in sizes if isinstance(size, fx.Node)]
        if len(symbols) == 1:
            node.args = (node.args[0], [-1 if isinstance(size, fx.Node) else size for size in sizes])
    graph.module.graph.eliminate_dead_code()
