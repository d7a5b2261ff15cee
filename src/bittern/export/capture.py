"""Captures a trained module as a functional graph of ATen operators and `bittern::binarize`."""

import copy

import torch
from torch import Tensor, nn

from bittern.export.errors import ExportError
from bittern.export.graph import Graph
from bittern.export.quiet import third_party_quiet
from bittern.ops._library import image_format


def channels_last(example: Tensor) -> Tensor:
    """``example`` as the engine will see it: images in channels_last memory, other tensors contiguous."""
    if example.dim() == 4:
        return torch.empty_like(example, memory_format=image_format(example.shape)).copy_(example)
    return example.contiguous()


def capture(module: nn.Module, example: Tensor) -> Graph:
    """Exports ``module`` in evaluation mode, on the CPU, for inputs shaped like ``example``.

    The module is copied: its mode, device and weights stay as they are.

    Raises:
        ExportError: if the example is no float32 tensor, a parameter is NaN or infinite, or torch.export refuses.
    """
    if not isinstance(example, Tensor) or example.dtype != torch.float32:
        got = example.dtype if isinstance(example, Tensor) else type(example).__name__
        raise ExportError(f"the example input must be one float32 tensor, got {got}; use example.float()")
    if 0 in example.shape:
        raise ExportError(f"the example input is empty: {list(example.shape)}; give at least one image")
    try:
        module = copy.deepcopy(module)
    except Exception as error:
        raise ExportError(
            f"{type(module).__name__} cannot be copied, which export does first: {error}. "
            "Give a module without hooks and without tensors that carry a graph"
        ) from error
    module = module.cpu().eval().requires_grad_(False)
    for name, value in (*module.named_parameters(), *module.named_buffers()):
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise ExportError(f"{name} holds NaN or infinite values: the training run diverged; export an earlier one")
    try:
        with third_party_quiet(), torch.no_grad():
            program = torch.export.export(module, (channels_last(example.cpu()),)).run_decompositions({})
            captured = program.module(check_guards=False)
    except Exception as error:
        raise ExportError(
            f"torch.export cannot capture {type(module).__name__} for an input of shape {list(example.shape)}: {error}"
        ) from error
    outputs = captured.graph.output_node().args[0]
    if len(outputs) != 1:
        raise ExportError(f"the model returns {len(outputs)} values; export a module that returns one tensor")
    return Graph(captured)
