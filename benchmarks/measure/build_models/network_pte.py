"""Networks as ExecuTorch programs: Bittern's export, and float32 and int8 for XNNPACK."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.measure.build_models.layer_pte import lower
from benchmarks.measure.networks import create, example


def _quantized(model: nn.Module, x: Tensor) -> nn.Module:
    """int8 with one scale a filter, calibrated on noise, by XNNPACK's own quantizer."""
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    quantizer = XNNPACKQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True))
    prepared = prepare_pt2e(torch.export.export(model, (x,)).module(), quantizer)
    for _ in range(2):
        prepared(torch.randn_like(x))
    quantized: nn.Module = convert_pt2e(prepared)
    return quantized


def build(subject: dict[str, Any], path: Path) -> None:
    """Forms: "bittern", "float", "int8". Bittern's explanation lies beside its program as .json."""
    torch.set_num_threads(1)
    network = subject["network"]
    model, x = create(network), example(network).to(memory_format=torch.channels_last)
    if subject["form"] == "bittern":
        from bittern.export import to_pte

        explanation = to_pte(model, x, path, name=network).explanation
        path.with_suffix(".json").write_text(json.dumps(explanation.to_json()))
        return
    with torch.no_grad():
        path.write_bytes(lower(_quantized(model, x) if subject["form"] == "int8" else model, x))
