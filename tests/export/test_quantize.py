"""int8 for the float layers: what becomes integers, what does not, and how far the results move."""

import operator
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from test_to_pte import images, small_net
from torch import Tensor, nn

import bittern
from bittern.export import Deployed, ExportError, capture, rewrite, to_pte, verify
from bittern.export.executorch import quantize
from bittern.export.graph import Provenance
from bittern.nn import BinaryConv2d
from bittern.runtime import load

pytestmark = pytest.mark.slow


class Branches(nn.Module):
    """Sums of two float branches, and of a float branch with a binary one."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.left, self.right = (nn.Conv2d(c, 16, 3, padding=1) for c in (3, 16, 16))
        self.binary, self.norm = BinaryConv2d(16, 16, 3, padding=1), nn.BatchNorm2d(16)
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.stem(x))
        y = self.left(y) + self.right(y)
        y = F.relu6(self.norm(self.binary(y)) + y)
        z = F.max_pool2d(self.right(y), 2)
        return self.head(F.adaptive_avg_pool2d(z, 1).flatten(1))


def branches() -> Branches:
    torch.manual_seed(0)
    return Branches().eval()


def kernels(export: bittern.export.Export) -> dict[str, str]:
    """Node -> "int8", "float" or the operator of Bittern."""
    names = {"XnnpackBackend": "float"}
    return {row.node: names.get(row.kernel, row.kernel) for row in export.explanation.rows}


def test_float_layers_become_int8_and_sums_with_binary_layers_do_not(tmp_path: Path) -> None:
    export = to_pte(branches(), images(1), tmp_path / "net.pte", int8=images(20))
    found = kernels(export)
    assert {name: found[name] for name in ("conv2d", "relu", "conv2d_1", "conv2d_2", "add", "linear")} == dict.fromkeys(
        ("conv2d", "relu", "conv2d_1", "conv2d_2", "add", "linear"), "int8"
    )
    assert export.explanation.fallbacks == export.explanation.unpacked == []
    assert export.metadata.int8
    assert load(export.path).metadata.int8


@pytest.mark.parametrize("net", [small_net, branches], ids=["small", "branches"])
def test_bittern_operators_and_their_origins_stay(net: object, tmp_path: Path) -> None:
    module = net()  # type: ignore[operator]
    plain = to_pte(module, images(1), tmp_path / "plain.pte")
    int8 = to_pte(module, images(1), tmp_path / "int8.pte", int8=images(20))
    assert int8.metadata.operators == plain.metadata.operators
    assert [row.runs for row in int8.explanation.rows] == [row.runs for row in plain.explanation.rows]
    assert "int8" not in kernels(plain).values()
    assert not plain.metadata.int8


def test_the_constants_of_bittern_operators_are_the_same() -> None:
    deployed = rewrite(capture(branches(), images(1)))

    def constants(of: Deployed) -> list[Tensor]:
        graph = of.graph
        calls = [node for node in graph.calls() if getattr(node.target, "namespace", "") == "bittern"]
        return [value for node in calls for value in map(graph.constant, node.all_input_nodes) if value is not None]

    before = [value.clone() for value in constants(deployed)]
    quantized = quantize(deployed, images(4))
    assert before
    assert quantized.int8
    assert not deployed.int8
    assert all(torch.equal(a, b) for a, b in zip(before, constants(quantized), strict=True))
    layers = [
        node for node in quantized.graph.calls(torch.ops.aten.conv2d.default) if node.target is not operator.getitem
    ]
    assert all(Provenance.of(node).sources for node in layers)


@pytest.mark.parametrize("isa", bittern.runtime.supported_isas()[:1])
def test_the_engine_computes_what_the_quantized_graph_says(isa: str, tmp_path: Path) -> None:
    """Integers against PyTorch's simulation of them: no binary layer, so that no rounding turns a bit."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    ).eval()
    x = images(16)
    graph = quantize(rewrite(capture(net, images(1))), x).graph
    with pytest.warns(bittern.export.ExportWarning, match="nothing in this model is binary"):
        path = to_pte(net, images(1), tmp_path / "net.pte", int8=x).path
    with torch.no_grad():
        simulated = torch.cat([graph.module(image[None].to(memory_format=torch.channels_last)) for image in x]).numpy()
        exact = net(x).numpy()
    results = bittern.runtime.run_in_process(path, x.numpy(), isa=isa).logits
    # All results are multiples of the output's scale. A value halfway between two may round to either, in each layer.
    step = np.diff(np.unique(simulated)).min()
    assert np.abs(results - simulated).max() <= 2 * step
    assert 0 < np.abs(results - exact).max() <= 4 * step


def test_int8_makes_the_file_smaller(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 64, 3), BinaryConv2d(64, 64, 3), nn.Flatten(), nn.Linear(64 * 16, 100)).eval()
    plain = to_pte(net, images(1), tmp_path / "plain.pte")
    int8 = to_pte(net, images(1), tmp_path / "int8.pte", int8=images(8))
    weights = 3 * 9 * 64 + 64 * 16 * 100
    assert plain.size - int8.size > 0.9 * 3 * weights


@pytest.mark.parametrize("batch", [1, 3])
def test_calibration_takes_any_number_of_images(batch: int, tmp_path: Path) -> None:
    parts = [images(2), images(5)]
    path = to_pte(small_net(), images(batch), tmp_path / "a.pte", int8=parts).path
    assert load(path)(images(4).numpy()).shape == (4, 5)


def test_the_same_images_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        to_pte(small_net(), images(1), tmp_path / name, int8=images(6))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_int8_runs_with_a_dynamic_batch(tmp_path: Path) -> None:
    engine = load(to_pte(branches(), images(1), tmp_path / "net.pte", int8=images(9), max_batch=4).path)
    x = images(7).numpy()
    expected = np.concatenate([engine(image[None]) for image in x])
    for count in (4, 7, 3):
        np.testing.assert_array_equal(engine(x[:count]), expected[:count])


def with_nan() -> Tensor:
    x = images(5)
    x[3, 0, 0, 0] = float("nan")
    x[4, 0, 0, 0] = float("inf")
    return x


@pytest.mark.parametrize(
    ("calibration", "message"),
    [
        ([], "got none"),
        (images(3)[:0], "got none"),
        (with_nan(), "2 of 5 calibration images hold NaN or infinite"),
        (images(3, channels=1), r"must be of shape \[M, 3, 8, 8\], got \[3, 1, 8, 8\]"),
        (images(3)[0], r"must be of shape \[M, 3, 8, 8\], got \[3, 8, 8\]"),
        (images(3).double(), "must be float32 tensors"),
        ([images(3).numpy()], "must be float32 tensors.*got ndarray"),
    ],
)
def test_images_that_cannot_calibrate_are_refused(calibration: Tensor, message: str, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=message):
        to_pte(small_net(), images(1), tmp_path / "x.pte", int8=calibration)
    assert not (tmp_path / "x.pte").exists()


def test_the_file_of_other_weights_does_not_verify(tmp_path: Path) -> None:
    to_pte(branches(), images(1), tmp_path / "net.pte", int8=images(20))
    assert verify(branches(), tmp_path / "net.pte", images(4).numpy()).passed
    other = branches()
    other.binary.weight.data[3] *= -1
    other.norm.running_var *= 2
    result = verify(other, tmp_path / "net.pte", images(4).numpy())
    assert not result.passed
    assert {name for layer in result.layers for name in layer.other_constants} == {"weight", "mul"}
