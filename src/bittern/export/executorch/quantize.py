"""int8 for the float layers of a deployed graph, by PyTorch's PT2E quantization. Bittern's operators stay as they are.

Convolutions and linear layers get 8-bit weights (a scale per channel) and 8-bit activations (a scale per tensor, from
calibration images); so do activation functions behind them, and sums and products of such results alone. A sum that
reads a result of Bittern's operators stays float: it is the residual path, where 8 bits cost accuracy and save no time.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, fx

from bittern.export.capture import channels_last
from bittern.export.deployed import Deployed
from bittern.export.errors import ExportError
from bittern.export.executorch.absorb_padding import absorb_padding
from bittern.export.graph import Graph, input_nodes, shape
from bittern.export.quiet import third_party_quiet
from bittern.export.refusals import first_line

aten = torch.ops.aten

_LAYERS = (
    aten.conv2d.default,
    aten.conv2d.padding,
    aten.conv1d.default,
    aten.conv_transpose2d.input,
    aten.linear.default,
)
_PASS_ON = (
    aten.relu.default,
    aten.relu6.default,
    aten.hardtanh.default,
    aten.clamp.default,
    aten.max_pool2d.default,
    aten.mean.dim,
    aten.view.default,
    aten.permute.default,
)
"""Operators whose result is int8 where their input is."""
_COMBINE = (aten.add.Tensor, aten.mul.Tensor)
_LEFT_OUT = ("adaptive_avg_pool2d", "cat")
"""Patterns of the quantizer: global pooling is a mean by now, which passes int8 on anyway; `cat` takes no filter."""


def check_calibration(images: Tensor | Sequence[Tensor], input_shape: tuple[int, ...]) -> Tensor:
    """float32 calibration images ``[M, ...]``, checked.

    Args:
        images: one tensor, or several to be joined.
        input_shape: the network's, ``[N, ...]``.

    Raises:
        ExportError: no image, another shape or dtype, NaN or infinite values.
    """
    parts = [images] if isinstance(images, Tensor) else list(images)
    if not parts:
        raise ExportError("int8 needs calibration images, got none; give a few hundred of the training set")
    expected = ", ".join(["M", *map(str, input_shape[1:])])
    for part in parts:
        if not isinstance(part, Tensor) or part.dtype != torch.float32:
            got = part.dtype if isinstance(part, Tensor) else type(part).__name__
            raise ExportError(f"calibration images must be float32 tensors [{expected}], preprocessed; got {got}")
        if tuple(part.shape[1:]) != tuple(input_shape[1:]) or part.dim() != len(input_shape):
            raise ExportError(f"calibration images must be of shape [{expected}], got {list(part.shape)}")
    joined = torch.cat(parts).cpu()
    if len(joined) == 0:
        raise ExportError("int8 needs calibration images, got none; give a few hundred of the training set")
    if not bool(torch.isfinite(joined).all()):
        bad = int((~torch.isfinite(joined.flatten(1)).all(1)).sum())
        raise ExportError(f"{bad} of {len(joined)} calibration images hold NaN or infinite values: leave them out")
    return joined


def quantize(deployed: Deployed, images: Tensor) -> Deployed:
    """The same graph with quantized float layers, calibrated on ``images`` (`check_calibration`).

    Raises:
        ExportError: torchao or ExecuTorch is missing, or refuses the graph.
    """
    with third_party_quiet():
        try:
            from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
                XNNPACKQuantizer,
                get_symmetric_quantization_config,
            )
            from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
        except ImportError as error:
            raise ExportError(
                f"int8 needs ExecuTorch and torchao: pip install '.[export]' in Bittern's folder ({error})"
            ) from error

        class Quantizer(XNNPACKQuantizer):  # type: ignore[misc]
            SUPPORTED_PATTERNS = tuple(p for p in XNNPACKQuantizer.SUPPORTED_PATTERNS if p.name not in _LEFT_OUT)

        quantizer = Quantizer().set_global(get_symmetric_quantization_config(is_per_channel=True))
        quantizer.set_filter_function(lambda node: node.target not in _COMBINE or _is_int8(node))
        graph = deployed.graph.copy()
        absorb_padding(graph)
        try:
            with torch.no_grad():
                observed = prepare_pt2e(graph.module, quantizer)
                for batch in _batches(graph, images):
                    observed(batch)
                graph.module = convert_pt2e(observed)
        except Exception as error:
            raise ExportError(f"the float layers cannot be quantized: {first_line(error)}") from error
    return replace(deployed, graph=graph, int8=True)


def _is_int8(node: Any) -> bool:
    """Whether ``node`` is the result of a quantized layer, or made of such results alone."""
    if not isinstance(node, fx.Node) or node.op != "call_function":
        return False
    if node.target in _LAYERS:
        return True
    if node.target in _PASS_ON:
        return _is_int8(node.args[0])
    return node.target in _COMBINE and all(map(_is_int8, node.all_input_nodes))


def _batches(graph: Graph, images: Tensor) -> Iterator[Tensor]:
    """``images`` in batches of the graph's; the last one is filled up with the first images."""
    batch = shape(next(input_nodes(graph)))[0]
    size = batch if isinstance(batch, int) else min(len(images), 8)
    count = -(-len(images) // size) * size
    order = torch.arange(count) % len(images)
    for start in range(0, count, size):
        yield channels_last(images[order[start : start + size]])
