from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import bittern
from bittern.export import ExportError, ExportWarning, passes, to_pte, verify, verify_reference
from bittern.export.graph import Graph
from bittern.export.verify.result import Where
from bittern.nn import BinaryConv2d, BinaryLinear
from bittern.ops import binarize
from bittern.runtime import Results


@pytest.fixture(scope="module")
def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 32, 3), nn.BatchNorm2d(32), BinaryConv2d(32, 32, 3), nn.BatchNorm2d(32), BinaryConv2d(32, 8, 4)
    ).eval()


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((70, 3, 8, 8), dtype=np.float32)


@pytest.fixture(scope="module")
def path(net: nn.Module, tmp_path_factory: Any) -> Path:
    path: Path = tmp_path_factory.mktemp("verify") / "net.pte"
    to_pte(nn.Sequential(net, nn.Flatten()), torch.zeros(1, 3, 8, 8), path)
    return path


@pytest.fixture(scope="module")
def module(net: nn.Module) -> nn.Module:
    return nn.Sequential(net, nn.Flatten())


def test_a_file_agrees_with_the_model_it_came_from(module: nn.Module, path: Path, images: np.ndarray) -> None:
    result = verify(module, path, images)
    assert result.passed
    assert result.images == result.equal_predictions == 70
    assert result.reference_differences == 0
    assert [layer.operator for layer in result.layers] == ["pack", "conv2d_threshold", "conv2d"]
    assert [layer.output for layer in result.layers] == ["bits", "bits", "float"]
    assert result.to_json()["passed"] is True
    assert str(result).startswith("passed on 70 images, 3 layers")
    assert len(str(result).splitlines()) == 5


def test_results_of_another_process_are_compared_alike(module: nn.Module, path: Path, images: np.ndarray) -> None:
    results = bittern.runtime.run_in_process(path, images, isa="portable", trace=True)
    here, there = verify(module, path, images), verify(module, path, images, results)
    assert there.isa == "portable"
    assert there.layers == here.layers


def flipped(results: Results, call: int) -> Results:
    """The results with one bit, or the sign of one float, changed in the output of one call."""
    output = results.calls[call].outputs[0].copy()
    flat = output.reshape(-1)
    flat[-1] = flat[-1] ^ 1 if output.dtype == np.int32 else -flat[-1]
    calls = list(results.calls)
    calls[call] = replace(calls[call], outputs=(output,))
    return replace(results, calls=tuple(calls))


@pytest.mark.parametrize("call", [0, 1, 2])
def test_one_wrong_value_in_any_operator_is_found(module: nn.Module, path: Path, images: np.ndarray, call: int) -> None:
    results = bittern.runtime.run_in_process(path, images, trace=True)
    result = verify(module, path, images, flipped(results, call))
    assert not result.passed
    assert [layer.reference_differences for layer in result.layers] == [int(i == call) for i in range(3)]
    # The lowest bit of the last word is channel 0; the last of 8 floats channel 7.
    expected = [Where(69, 0, (5, 5)), Where(69, 0, (3, 3)), Where(69, 7, (0, 0))][call]
    assert result.layers[call].reference_where == expected
    assert [layer.passed for layer in result.layers] == [i != call for i in range(3)]
    if call == 2:
        wrong = abs(2 * results.calls[2].outputs[0].reshape(-1)[-1])
        assert result.layers[2].largest_reference_difference == pytest.approx(wrong)


def test_a_model_with_other_weights_does_not_pass(module: nn.Module, path: Path, images: np.ndarray) -> None:
    other = deepcopy(module)
    other.load_state_dict(
        {name: value + 0.1 if value.is_floating_point() else value for name, value in module.state_dict().items()}
    )
    result = verify(other, path, images[:5])
    assert result.reference_differences == 0
    assert result.model_differences > 0
    assert not result.passed


def test_a_file_without_packed_operators_is_compared_too(module: nn.Module, tmp_path: Path, images: np.ndarray) -> None:
    def classifier(seed: int) -> nn.Module:
        torch.manual_seed(seed)
        return nn.Sequential(nn.Conv2d(3, 8, 8), nn.Flatten())

    with pytest.warns(ExportWarning, match="nothing in this model is binary"):
        to_pte(classifier(0), torch.zeros(1, 3, 8, 8), tmp_path / "float.pte")
    assert verify(classifier(0), tmp_path / "float.pte", images).passed
    assert not verify(classifier(1), tmp_path / "float.pte", images).passed
    with pytest.raises(ExportError, match="not its file"):
        verify(nn.Sequential(nn.Conv2d(3, 7, 8), nn.Flatten()), tmp_path / "float.pte", images)


def test_what_follows_a_bit_that_rounding_may_turn_is_no_error(tmp_path: Path) -> None:
    def rows(bias: float) -> nn.Module:
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(32, 32), BinaryLinear(32, 32), BinaryLinear(32, 8)).eval()
        first = net[0]
        assert isinstance(first, nn.Linear)
        nn.init.eye_(first.weight)
        nn.init.constant_(first.bias, bias)
        return net

    x = np.random.default_rng(0).choice([-1.0, 1.0], (20, 32)).astype(np.float32)
    x[:, 0] = 5e-8  # above zero for a bias of 0, below for one of -1e-7
    to_pte(rows(0.0), torch.zeros(1, 32), tmp_path / "rows.pte")
    result = verify(rows(-1e-7), tmp_path / "rows.pte", x)
    assert result.layers[0].model_differences == 20
    assert 0 < result.layers[0].margin < 1e-6
    assert result.layers[0].model_where == Where(0, 0)
    assert str(Where(3, 5, (1, 2))) == "image 3, channel 5, pixel 1,2"
    assert result.largest_logit_difference >= 2
    assert result.passed


def test_a_model_of_another_structure_is_refused(path: Path, images: np.ndarray) -> None:
    with pytest.raises(ExportError, match="not exported from this model"):
        verify(nn.Sequential(nn.Conv2d(3, 8, 8), nn.Flatten()), path, images)


def test_the_references_alone_agree_with_the_model(module: nn.Module, images: np.ndarray) -> None:
    result = verify_reference(module, images)
    assert result.passed
    assert (result.isa, result.images, result.equal_predictions) == ("reference", 70, 70)
    assert [layer.operator for layer in result.layers] == ["pack", "conv2d_threshold", "conv2d"]
    assert all(layer.largest_difference is not None for layer in result.layers if layer.output == "float")


def test_a_pass_that_changes_a_weight_is_found_by_the_references_alone(
    module: nn.Module, images: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flip(graph: Graph) -> None:
        (last,) = graph.calls(torch.ops.bittern.conv2d.default)
        weight = graph.constant(last.args[1])
        assert weight is not None
        weight.view(-1)[0] ^= 1

    monkeypatch.setattr(passes, "PIPELINE", (*passes.PIPELINE, flip))
    result = verify_reference(module, images)
    assert not result.passed
    assert [layer.passed for layer in result.layers] == [True, True, False]
    assert result.layers[2].model_where is not None
    assert result.layers[2].model_where.channel == 0


def test_large_images_are_compared_one_at_a_time_and_counted_through(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 32, 3, 8), BinaryConv2d(32, 8, 2), nn.Flatten()).eval()
    x = np.random.default_rng(0).standard_normal((3, 3, 256, 256), dtype=np.float32)
    to_pte(net, torch.zeros(1, 3, 256, 256), tmp_path / "net.pte")
    result = verify(net, tmp_path / "net.pte", x)
    assert result.passed
    assert result.images == 3


MOVED: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "flattened": lambda y, w: F.linear(binarize(y).flatten(1), binarize(w)),
    "pooled": lambda y, w: F.linear(F.max_pool2d(binarize(y), 1).flatten(1), binarize(w)),
    "joined": lambda y, w: F.linear(torch.cat([binarize(y)[:, :1], binarize(y)[:, 1:]], 1).flatten(1), binarize(w)),
}


@pytest.mark.parametrize("moved", MOVED)
def test_a_sign_that_rounding_turns_is_explained_wherever_it_was_moved(moved: str, tmp_path: Path) -> None:
    class Network(nn.Module):
        def __init__(self, shift: float) -> None:
            super().__init__()
            self.stem = nn.Conv2d(2, 2, 1)
            self.stem.weight.data = torch.eye(2).reshape(2, 2, 1, 1)
            self.stem.bias.data = torch.full((2,), shift)
            self.weight = nn.Parameter(torch.arange(40.0).reshape(5, 8) - 20)

        def forward(self, x: Tensor) -> Tensor:
            return MOVED[moved](self.stem(x), self.weight)

    images = np.ones((1, 2, 2, 2), np.float32)
    images[0, 1, 0, 1] = 1e-7
    to_pte(Network(0.0), torch.ones(1, 2, 2, 2), tmp_path / "m.pte")
    near = verify(Network(-2e-7), tmp_path / "m.pte", images)
    assert near.passed
    assert near.model_differences == 1
    assert not verify(Network(-2.0), tmp_path / "m.pte", images).passed


def test_a_network_that_rounds_to_steps_is_compared_with_the_references_alone(tmp_path: Path) -> None:
    signs = torch.where(torch.arange(12.0).reshape(3, 4) < 5, -1.0, 1.0)

    class Steps(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.linear(torch.round(x.clamp(0, 1) * 3) / 3, signs)

    to_pte(Steps(), torch.zeros(1, 4), tmp_path / "m.pte")
    images = np.full((1, 4), 0.5 + 1e-7, np.float32)
    result = verify(Steps(), tmp_path / "m.pte", images)
    assert result.steps
    assert result.passed
    signs[1, 1] *= -1
    other = verify(Steps(), tmp_path / "m.pte", images)
    assert not other.passed
    assert [layer.other_constants for layer in other.layers] == [("weight",)]


def with_nan(images: np.ndarray) -> np.ndarray:
    images = images.copy()
    images[0], images[1, 0, 2, 2] = np.nan, np.inf
    return images


def test_images_of_nan_and_infinity_agree(module: nn.Module, path: Path, images: np.ndarray) -> None:
    result = verify(module, path, with_nan(images))
    assert result.passed
    assert result.largest_logit_difference < 1e-3


@pytest.mark.parametrize("layer", ["pack", "stem", "head"])
def test_an_image_of_nan_hides_no_difference_of_the_others(
    layer: str, module: nn.Module, images: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = nn.Sequential(nn.Conv2d(3, 5, 8), nn.Flatten()) if layer == "head" else module

    def change(graph: Graph) -> None:
        target = torch.ops.bittern.pack.default if layer == "pack" else torch.ops.aten.conv2d.default
        node = graph.calls(target)[0]
        if layer == "pack":
            node.args = (node.args[0], graph.add_constant(torch.full((32,), 0.1), node), node.args[2])
            return
        weight = graph.constant(node.args[1])
        assert weight is not None
        weight += 0.1

    monkeypatch.setattr(passes, "PIPELINE", (*passes.PIPELINE, change))
    result = verify_reference(network, with_nan(images[:20]))
    assert not result.passed
    assert max(result.logit_margin, *(check.margin for check in result.layers), 0.0) > 1e-4


def test_a_result_that_is_nan_on_one_side_alone_is_an_error(
    images: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoil(graph: Graph) -> None:
        weight = graph.constant(graph.calls(torch.ops.aten.conv2d.default)[0].args[1])
        assert weight is not None
        weight.fill_(float("nan"))

    monkeypatch.setattr(passes, "PIPELINE", (*passes.PIPELINE, spoil))
    result = verify_reference(nn.Sequential(nn.Conv2d(3, 5, 8), nn.Flatten()), images)
    assert result.logit_margin == result.largest_logit_difference == float("inf")
    assert not result.passed


@pytest.mark.parametrize("tail", [nn.Identity(), nn.Sequential(nn.Flatten(), nn.Linear(8, 1), nn.Flatten(0))])
def test_an_output_that_is_no_row_of_logits_has_no_predictions(
    tail: nn.Module, net: nn.Module, images: np.ndarray
) -> None:
    result = verify_reference(nn.Sequential(net, tail), images)
    assert result.passed
    assert result.images == 70
    assert result.predictions == result.model_predictions == ()
    assert result.to_json()["equal_predictions"] is None


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        ("photo.jpg", TypeError, "must be .*, got str"),
        (np.zeros((2, 3, 8, 8)), ValueError, "must be float32, got float64"),
        (np.zeros((0, 3, 8, 8), np.float32), ValueError, "at least one image"),
        (np.ones((), np.float32), ValueError, "at least one image"),
    ],
)
def test_images_of_another_kind_are_refused(
    images: Any, error: type[Exception], message: str, module: nn.Module, path: Path
) -> None:
    with pytest.raises(error, match=message):
        verify(module, path, images)
    with pytest.raises(error, match=message):
        verify_reference(module, images)


def test_tensors_are_compared_as_arrays_are(module: nn.Module, path: Path, images: np.ndarray) -> None:
    assert verify(module, path, torch.from_numpy(images[:3])) == verify(module, path, images[:3])
    assert verify_reference(module, torch.from_numpy(images[:3])).passed
