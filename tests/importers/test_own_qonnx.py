"""Networks in QONNX compute what ONNX's reference evaluator computes, before and after export."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import bittern
from bittern.importers import import_checkpoint, save_imported
from bittern.train import load_run
from importers.own import FOLDER, unpack
from importers.qonnx import Array, Net

BOUND = 1e-5
"""Of the largest value: sums in another order."""


def normal(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def norm(net: Net, x: str, channels: int, seed: int) -> str:
    rng = np.random.default_rng(seed)
    weight, variance = rng.uniform(-1, 1.5, channels), rng.uniform(0.5, 2, channels)
    return net.add(
        "BatchNormalization", x, weight, normal(channels, seed=seed), normal(channels), variance, epsilon=1e-4
    )


def classifier() -> Net:
    """As Brevitas exports its networks: pixels to -1..1, signs, borders, views, transposed weights, a scale behind."""
    net = Net("batch", 3, 10, 8)
    x = net.add("Sub", net.add("Mul", "x", 2.0), 1.0)
    x = net.add("Conv", net.bipolar(x), net.bipolar(normal(8, 3, 3, 3)), kernel_shape=[3, 3])
    x = net.bipolar(norm(net, x, 8, 1), 0.5)
    scale = np.abs(normal(16, 1, 1, 1)) + 0.1
    x = net.add("Conv", x, net.bipolar(normal(16, 8, 3, 3), scale), normal(16), pads=[1, 0, 1, 1], strides=[2, 1])
    x = norm(net, net.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2]), 16, 2)
    shape = net.add("Gather", net.add("Shape", x), np.int64(0), axis=0)
    target = net.add("Concat", net.add("Unsqueeze", shape, [0]), [-1], axis=0)
    x = net.add("Reshape", net.bipolar(x), target)
    x = net.add("MatMul", x, net.add("Transpose", net.bipolar(normal(12, 64), 0.25), perm=[1, 0]))
    x = net.add("Gemm", net.bipolar(norm(net, x, 12, 3)), net.bipolar(normal(5, 12)), normal(5), transB=1, alpha=0.5)
    net.add("Div", x, 3.0)
    return net


def check(net: Net, x: Array, folder: Path) -> Any:
    """The imported network, which gives what the evaluator gives."""
    imported = import_checkpoint(net.write(folder / "net.onnx"))
    images = torch.from_numpy(x).reshape(len(x), *imported.info.input_shape)
    expected = net.run(x)
    with torch.no_grad():
        result = imported.network(images).numpy()
    assert result.shape == expected.shape
    assert np.abs(result - expected).max() <= BOUND * np.abs(expected).max()
    return imported


def test_a_classifier_gives_the_evaluators_logits_from_its_run_folder_and_packed(tmp_path: Path) -> None:
    net, x = classifier(), np.random.default_rng(1).uniform(0, 1, (4, 3, 10, 8)).astype(np.float32)
    save_imported(check(net, x, tmp_path), tmp_path / "run")
    run = load_run(tmp_path / "run")
    assert run.info.origin is not None
    assert (run.info.origin.source, run.info.options) == ("ONNX", {"num_classes": 5})
    export = bittern.export.to_pte(run.model, torch.from_numpy(x[:1]), tmp_path / "net.pte", check=False)
    layers = [row for row in export.explanation.rows if row.operator in ("aten::conv2d", "aten::linear")]
    assert [row.runs for row in layers] == ["bittern"] * 4
    found, expected = bittern.runtime.load(export.path)(x), net.run(x)
    assert np.abs(found - expected).max() < BOUND * np.abs(expected).max()


def test_a_file_of_brevitas_gives_its_logits_and_is_packed(tmp_path: Path) -> None:
    with np.load(FOLDER / "brevitas.npz") as file:
        x, expected = torch.from_numpy(file["inputs"]), file["logits"]
    imported = import_checkpoint(unpack("brevitas", tmp_path, ".onnx"))
    assert imported.info.model == "brevitas"
    with torch.no_grad():
        assert np.abs(imported.network(x).numpy() - expected).max() < BOUND * np.abs(expected).max()
    export = bittern.export.to_pte(imported.network, x[:1], tmp_path / "net.pte", check=False)
    layers = [row for row in export.explanation.rows if row.operator in ("aten::conv2d", "aten::linear")]
    assert [(row.runs, "weight_only" in row.kernel) for row in layers] == [("bittern", True), *[("bittern", False)] * 3]
    found = bittern.runtime.load(export.path)(x.numpy())
    assert np.abs(found - expected).max() < BOUND * np.abs(expected).max()


OPERATIONS: dict[str, Callable[[Net], Any]] = {
    "conv same upper": lambda n: n.add("Conv", "x", normal(4, 4, 3, 2), auto_pad="SAME_UPPER", strides=[2, 3]),
    "conv same lower": lambda n: n.add("Conv", "x", normal(4, 4, 2, 2), auto_pad="SAME_LOWER", dilations=[1, 1]),
    "conv groups": lambda n: n.add(
        "Conv", "x", normal(6, 2, 3, 3), normal(6), group=2, dilations=[2, 1], pads=[2, 1, 1, 0]
    ),
    "binary weights alone": lambda n: n.add("Conv", "x", n.bipolar(normal(4, 4, 3, 3), 0.3)),
    "max": lambda n: n.add("MaxPool", "x", kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 1]),
    "mean of pixels": lambda n: n.add("AveragePool", "x", kernel_shape=[3, 3], pads=[1, 0, 0, 1]),
    "mean of borders": lambda n: n.add("AveragePool", "x", kernel_shape=[3, 3], pads=[1, 0, 0, 1], count_include_pad=1),
    "global mean": lambda n: n.add("Flatten", n.add("GlobalAveragePool", "x")),
    "global max": lambda n: n.add("Squeeze", n.add("GlobalMaxPool", "x"), [2, 3]),
    "reduce": lambda n: n.add("ReduceMean", "x", axes=[-1, 2], keepdims=0),
    "clip": lambda n: n.add("Clip", "x", -1.0, 0.5),
    "clip above": lambda n: n.add("Clip", "x", None, 0.5),
    "relu": lambda n: n.add("LeakyRelu", n.add("Neg", n.add("Relu", "x")), alpha=0.3),
    "prelu": lambda n: n.add("PRelu", "x", normal(4, 1, 1)),
    "activations": lambda n: n.add("Sigmoid", n.add("Elu", n.add("Tanh", "x"), alpha=0.5)),
    "softmax": lambda n: n.add("Softmax", n.add("Flatten", "x"), axis=1),
    "constant minus": lambda n: n.add("Sub", normal(1, 4, 1, 1), "x"),
    "minus constant": lambda n: n.add("Sub", "x", normal(4, 1, 1)),
    "by constants": lambda n: n.add("Div", n.add("Mul", 0.3, "x"), np.abs(normal(1, 4, 1, 1)) + 0.5),
    "two results": lambda n: n.add("Mul", n.add("Add", "x", n.add("Relu", "x")), n.add("Sub", "x", n.add("Abs", 2.0))),
    "quotient": lambda n: n.add("Div", "x", n.add("Add", n.add("Sigmoid", "x"), 1.0)),
    "joined": lambda n: n.add("Concat", "x", n.add("Relu", "x"), axis=-1),
    "border": lambda n: n.add("Pad", "x", [0, 0, 1, 0, 0, 0, 2, 3], 0.7),
    "channels last": lambda n: n.add("Mul", n.add("Transpose", "x", perm=[0, 2, 3, 1]), normal(4)),
    "views": lambda n: n.add("Reshape", n.add("Unsqueeze", "x", [2]), [0, -1, 7]),
    "sign": lambda n: n.add("Sign", "x"),
    "4 bits": lambda n: n.add("Quant", "x", 0.2, 0.0, 4.0, signed=1, narrow=1),
    "a bit": lambda n: n.add("Quant", "x", 0.7, 0.0, 1.0, signed=0),
    "zero": lambda n: n.add("Quant", "x", 0.1, 3.0, 5.0, signed=0, narrow=1),
    "wide weights": lambda n: n.add(
        "Conv", "x", n.add("Quant", normal(4, 4, 3, 3), 0.1, 0.0, 3.0, rounding_mode="CEIL")
    ),
    "no work": lambda n: n.add("Cast", n.add("Identity", n.add("Relu", "x")), to=1),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_gives_what_the_evaluator_gives(name: str, tmp_path: Path) -> None:
    net = Net(1, 4, 9, 7)
    OPERATIONS[name](net)
    check(net, normal(3, 4, 9, 7, seed=5), tmp_path)


@pytest.mark.parametrize("shape", [(11,), (6, 5)])
def test_rows_and_images_without_channels_are_imported(shape: tuple[int, ...], tmp_path: Path) -> None:
    net = Net(1, *shape)
    net.add("MatMul", "x", normal(shape[-1], 3))
    check(net, normal(2, *shape), tmp_path)


def test_bipolar_quant_of_zero_is_plus_scale(tmp_path: Path) -> None:
    net = Net(1, 3)
    net.add("MatMul", net.bipolar("x", 0.5), net.bipolar([[0.0], [-0.0], [-1e-30]], 2.0))
    network = import_checkpoint(net.write(tmp_path / "net.onnx")).network
    for x, expected in (([0.0, -0.0, -1e-30], 1 + 1 + 1), ([0.0, 0.0, 1e-30], 1 + 1 - 1)):
        assert network(torch.tensor(x).view(1, 3, 1, 1)).item() == expected


def test_weights_of_two_values_are_binary_whichever_operations_make_them(tmp_path: Path) -> None:
    net = Net(1, 4, 5, 5)
    signs = net.add("Sign", normal(6, 4, 3, 3))
    net.add("Conv", net.bipolar("x"), net.add("Mul", signs, np.abs(normal(6, 1, 1, 1))))
    layer = import_checkpoint(net.write(tmp_path / "net.onnx")).info.graph["layers"][-1]  # type: ignore[index]
    assert layer["attributes"]["binary"] is True
    assert layer["weights"] == {"weight": [6, 4, 3, 3], "magnitude": [6]}
