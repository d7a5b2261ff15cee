"""Writes a QONNX fixture as Brevitas exports it, with Brevitas' logits; nothing of Bittern is used.

python3.11 -m venv brevitas && brevitas/bin/pip install torch brevitas==0.13.4 onnx onnxoptimizer onnxscript
brevitas/bin/python tests/importers/generate/own_from_brevitas.py tests/importers/fixtures/own
"""

import lzma
import sys
import tempfile
from pathlib import Path

import brevitas.nn as qnn
import numpy as np
import torch
from brevitas.export import export_qonnx
from brevitas.quant.binary import SignedBinaryActPerTensorConst, SignedBinaryWeightPerTensorConst
from draw import is_stable, noisy
from torch import nn


def signs():
    return qnn.QuantIdentity(act_quant=SignedBinaryActPerTensorConst, return_quant_tensor=False)


def conv(inputs, outputs, **more):
    return qnn.QuantConv2d(inputs, outputs, 3, bias=False, weight_quant=SignedBinaryWeightPerTensorConst, **more)


def linear(inputs, outputs, bias):
    return qnn.QuantLinear(inputs, outputs, bias=bias, weight_quant=SignedBinaryWeightPerTensorConst)


def build():
    return nn.Sequential(
        conv(3, 8, stride=2, padding=1),
        nn.BatchNorm2d(8),
        signs(),
        conv(8, 16),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(16),
        signs(),
        nn.Flatten(),
        linear(64, 12, bias=True),
        nn.BatchNorm1d(12),
        signs(),
        linear(12, 5, bias=False),
    )


def draw(network, rng):
    """Kernels of few different numbers, so that the fixture is small when packed."""
    state = network.state_dict()
    for name, tensor in state.items():
        if name.endswith("running_var"):
            values = rng.uniform(0.5, 2, tensor.shape)
        elif tensor.dim() > 1:
            values = rng.choice([-1.5, -0.5, 0.5, 1.5], tensor.shape)
        elif name.endswith(("weight", "bias", "running_mean")):
            values = rng.uniform(-1, 1, tensor.shape)
        else:
            continue
        tensor.copy_(torch.from_numpy(np.asarray(values, np.float32)))


def write(folder):
    for seed in range(100):
        rng, network = np.random.default_rng(seed), build().eval()
        inputs = rng.uniform(-1, 1, (2, 3, 13, 12)).astype(np.float32)
        with torch.no_grad():
            draw(network, rng)
            logits = network(torch.from_numpy(inputs)).numpy()
            others = [network(torch.from_numpy(noisy(inputs, rng))).numpy() for _ in range(10)]
        if is_stable(logits, others):
            break
    else:
        raise SystemExit("a sign is near its threshold with every seed")
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "model.onnx"
        export_qonnx(network, args=torch.from_numpy(inputs[:1]), export_path=str(path))
        (folder / "brevitas.onnx.xz").write_bytes(lzma.compress(path.read_bytes(), preset=9))
    np.savez_compressed(folder / "brevitas.npz", inputs=inputs, logits=logits)
    print(seed, (folder / "brevitas.onnx.xz").stat().st_size)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
