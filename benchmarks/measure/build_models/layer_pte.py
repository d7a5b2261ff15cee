"""Layers as ExecuTorch programs: Bittern's operators on packed or on float input, and float layers of XNNPACK."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import bittern.ops  # noqa: F401  (defines the operators)
from benchmarks.measure.layers import LayerCase
from bittern.export.executorch.lower import CACHE_LINE
from bittern.export.quiet import third_party_quiet
from bittern.ops import layout

_NO_EPILOGUE = (None,) * 11


class BinaryLayerProgram(nn.Module):
    """Bits in, floats out; ``pack`` in front of it if ``floats`` come in."""

    def __init__(self, layer: LayerCase, *, floats: bool) -> None:
        super().__init__()
        self.layer, self.floats = layer, floats
        shape: tuple[int, ...] = (layer.outputs, layer.inputs // layer.groups)
        if layer.op == "conv2d":
            shape += (layer.kernel, layer.kernel)
        self.register_buffer("weight", layout.pack_weight(torch.randn(shape), layer.groups))

    def forward(self, x: Tensor) -> Tensor:
        layer, op = self.layer, torch.ops.bittern
        if self.floats:
            x = op.pack(x, None, 1 if layer.op == "conv2d" else -1)
        if layer.op == "linear":
            rows: Tensor = op.linear(x, self.weight, layer.inputs, layer.outputs, *_NO_EPILOGUE)
            return rows
        window = [layer.kernel] * 2, [layer.stride] * 2, [layer.padding] * 4, [layer.dilation] * 2
        geometry = (layer.inputs, layer.outputs, *window, layer.groups, layer.pad_value)
        result: Tensor = op.conv2d(x, self.weight, *geometry, *_NO_EPILOGUE)
        return result


def _float_layer(layer: LayerCase) -> nn.Module:
    if layer.op == "linear":
        return nn.Linear(layer.inputs, layer.outputs, bias=False)
    return nn.Conv2d(layer.inputs, layer.outputs, layer.kernel, layer.stride, layer.padding, bias=False)


def _example(layer: LayerCase, *, packed: bool) -> Tensor:
    words = layout.words(layer.inputs)
    if layer.op == "linear":
        return torch.zeros(layer.size, words, dtype=torch.int32) if packed else torch.zeros(layer.size, layer.inputs)
    if packed:
        return torch.zeros(1, layer.size, layer.size, words, dtype=torch.int32)
    return torch.zeros(1, layer.inputs, layer.size, layer.size).to(memory_format=torch.channels_last)


def lower(module: nn.Module, example: Tensor) -> bytes:
    """The serialized program of ``module``."""
    with third_party_quiet():
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import EdgeCompileConfig, ExecutorchBackendConfig, to_edge_transform_and_lower
        from executorch.exir.passes import MemoryPlanningPass

        config = EdgeCompileConfig(_check_ir_validity=False)
        exported = torch.export.export(module, (example,))
        edge = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()], compile_config=config)
        # As the exporter: inputs are read where they lie, and all tensors begin at cache lines, XNNPACK's as Bittern's.
        memory = MemoryPlanningPass(alloc_graph_input=False, alignment=CACHE_LINE)
        planning = ExecutorchBackendConfig(memory_planning_pass=memory, constant_tensor_alignment=CACHE_LINE)
        return bytes(edge.to_executorch(planning).buffer)


def build(subject: dict[str, Any], path: Path) -> None:
    """Forms: "packed", "packed-float-in", "float"."""
    torch.manual_seed(0)
    layer, form = LayerCase(**subject["layer"]), subject["form"]
    module = _float_layer(layer) if form == "float" else BinaryLayerProgram(layer, floats=form == "packed-float-in")
    path.write_bytes(lower(module.eval(), _example(layer, packed=form == "packed")))
