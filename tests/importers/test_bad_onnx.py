"""ONNX files from strangers: refused with the operation, without taking memory or opening other files."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bittern.importers import CheckpointError, import_checkpoint
from importers.qonnx import Net, onnx
from importers.test_own_qonnx import classifier


def refusal(path: Path) -> str:
    with pytest.raises(CheckpointError) as error:
        import_checkpoint(path)
    return str(error.value)


def refused(tmp_path: Path, build: Callable[[Net], Any], *shape: int | str) -> str:
    net = Net(*(shape or (1, 4, 9, 7)))
    build(net)
    return refusal(net.write(tmp_path / "net.onnx"))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda n: n.add("MultiThreshold", "x", np.ones((1, 3))),
            "MultiThreshold 'MultiThreshold_y0' is not one of",
        ),
        (lambda n: n.add("If", "x"), "If 'If_y0' is not one of the operations"),
        (lambda n: n.add("Conv", "x", n.add("Relu", "x")), "computes its input 1 from the network's input"),
        (lambda n: n.add("Conv", "x", np.ones((2, 3, 3, 3))), "conv2d does not take [1, 4, 9, 7]"),
        (lambda n: n.add("Conv", "x", np.ones((2, 4, 3))), "convolutions of images are imported"),
        (lambda n: n.add("Conv", "x", np.ones((2, 4, 3, 3)), pads=[1, 1]), "has pads [1, 1], expected 4 integers"),
        (lambda n: n.add("Conv", "x", np.ones((2, 4, 3, 3)), strides=[0, 1], auto_pad="SAME_UPPER"), "strides [0, 1]"),
        (lambda n: n.add("MaxPool", "x", kernel_shape=[2, 2], ceil_mode=1), "ceil_mode"),
        (lambda n: n.add("Reshape", "x", [4, 63]), "joins images of a batch"),
        (lambda n: n.add("Reshape", "x", [1, 5, -1]), "is damaged: shape"),
        (lambda n: n.add("Transpose", "x", perm=[1, 0, 2, 3]), "moves the batch"),
        (lambda n: n.add("Concat", "x", "x", axis=0), "joins batches"),
        (lambda n: n.add("Pad", "x", [0, 1, 0, 0, 0, 0, 0, 0]), "borders of images"),
        (lambda n: n.add("Pad", "x", [0] * 8, mode="reflect"), "mode 'reflect'"),
        (lambda n: n.add("Pad", "x", [0, 0, 2**30, 2**30, 0, 0, 2**30, 2**30]), "pad"),
        (lambda n: n.add("Quant", "x", 0.1, 0.0, 99.0), "has 99.0 bits"),
        (lambda n: n.add("Quant", "x", 0.0, 0.0, 2.0), "finite"),
        (lambda n: n.add("Cast", "x", to=7), "makes integers"),
        (lambda n: n.add("Relu", "nothing"), "reads 'nothing', which no earlier one gives"),
        (lambda n: n.add("Add", 1.0, 1.0), "depends on no input"),
        (lambda n: n.add("Mul", "x", np.full(4, np.nan)), "not finite"),
        (lambda n: n.add("Mul", n.add("Mul", np.ones((2**15, 1)), np.ones((1, 2**15))), "x"), "numbers of constants"),
    ],
)
def test_what_is_not_imported_is_refused_by_name(build: Callable[[Net], Any], message: str, tmp_path: Path) -> None:
    assert message in refused(tmp_path, build)


@pytest.mark.parametrize(
    ("shape", "message"),
    [((1, 3, "height", 7), "[1, 3, 0, 7]"), ((1, 2, 3, 4, 5), "of fixed sizes"), ((8, 3, 5, 5), "of 1")],
)
def test_the_input_must_be_one_image_of_one_size(shape: tuple[int | str, ...], message: str, tmp_path: Path) -> None:
    assert message in refused(tmp_path, lambda net: net.add("Relu", "x"), *shape)


@pytest.mark.parametrize("content", [b"", b"top-1 65.5 %\n", b"\x08\x07" * 50, b"\xff" * 1000])
def test_something_else_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    assert "no ONNX file" in refusal(path)


def test_numbers_in_another_file_are_not_looked_for(tmp_path: Path) -> None:
    net = Net(1, 4, 9, 7)
    net.add("Conv", "x", np.ones((2, 4, 3, 3)))
    model = net.model()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    assert "is in another file" in refusal(tmp_path / "net.onnx")


@pytest.mark.parametrize("dims", [[2**40, 2**40], [-1], [2, 4, 3, 4], [2**62]])
def test_a_constant_that_declares_other_sizes_than_it_has_is_refused(dims: list[int], tmp_path: Path) -> None:
    net = Net(1, 4, 9, 7)
    net.add("Conv", "x", np.ones((2, 4, 3, 3)))
    model = net.model()
    model.graph.initializer[0].dims[:] = dims
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    assert "c0 is damaged" in refusal(tmp_path / "net.onnx")


@pytest.mark.parametrize("seed", range(4))
def test_damaged_bytes_are_refused_or_harmless(seed: int, tmp_path: Path) -> None:
    content, chance = classifier().write(tmp_path / "net.onnx").read_bytes(), random.Random(seed)
    for _ in range(60):
        damaged = bytearray(content)
        for _ in range(chance.randint(1, 6)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        if chance.random() < 0.2:
            del damaged[chance.randrange(len(damaged)) :]
        (tmp_path / "net.onnx").write_bytes(damaged)
        try:
            import_checkpoint(tmp_path / "net.onnx")
        except CheckpointError:
            continue
