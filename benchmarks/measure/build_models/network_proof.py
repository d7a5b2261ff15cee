"""A network's program against PyTorch and against the references of its operators, at full size: a file of counts."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.measure.networks import create, input_shape

IMAGES = 2


def build(subject: dict[str, Any], path: Path) -> None:
    """``subject``: network, and the path of its program, beside which lies its explanation (network_pte.py)."""
    from bittern.export import verify

    torch.set_num_threads(1)
    network, program = subject["network"], Path(subject["program"])
    images = np.random.default_rng(1).standard_normal((IMAGES, *input_shape(network)), dtype=np.float32)
    result = verify(create(network), program, images)
    explanation = json.loads(program.with_suffix(".json").read_text())
    counts = {
        "isa": result.isa,
        "images": result.images,
        "packed": explanation["packed"],
        "unpacked": explanation["unpacked"],
        "fallbacks": explanation["fallbacks"],
        "bits": sum(layer.values for layer in result.layers if layer.output == "bits"),
        "floats": sum(layer.values for layer in result.layers if layer.output != "bits"),
        "reference_differences": result.reference_differences,
        "model_differences": result.model_differences,
        "margin": max([result.logit_margin, *(layer.margin for layer in result.layers)]),
        "equal_predictions": result.equal_predictions,
        "references_only": int(result.steps),
        "passed": int(result.passed),
    }
    path.write_text(json.dumps(counts))
