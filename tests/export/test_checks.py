"""No wrong file leaves: every export runs once and is compared with the module itself."""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from deploy import Apply
from torch import Tensor, nn

import bittern
from bittern.export import ExportError, ExportWarning, passes, to_pte, verify
from bittern.export.graph import Graph
from bittern.export.verify import corpus
from bittern.export.verify.decisions import decisions, turned
from bittern.nn import BinaryConv2d
from bittern.ops import binarize

pytestmark = pytest.mark.filterwarnings("ignore::bittern.export.ExportWarning")


def small() -> nn.Module:
    torch.manual_seed(0)
    layers = (nn.Conv2d(3, 32, 3), nn.BatchNorm2d(32), BinaryConv2d(32, 8, 3), nn.AvgPool2d(2), nn.Flatten())
    return nn.Sequential(*layers, nn.Linear(32, 5)).eval()


def spoil(graph: Graph, target: object, change: Callable[[Tensor], object]) -> None:
    """Changes the weight of the last call of an operator."""
    weight = graph.constant(graph.calls(target)[-1].args[1])  # type: ignore[arg-type]
    assert weight is not None
    change(weight)


FAULTS: dict[str, Callable[[Graph], None]] = {
    "a weight": lambda graph: spoil(graph, torch.ops.aten.conv2d.default, lambda w: w.mul_(1.01)),
    "a bit": lambda graph: spoil(graph, torch.ops.bittern.conv2d.default, lambda w: w.view(-1)[0].bitwise_xor_(1)),
    "a row": lambda graph: spoil(graph, torch.ops.aten.linear.default, lambda w: w[2].neg_()),
}


@pytest.mark.slow
@pytest.mark.parametrize("max_batch", [None, 3])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_pass_that_changes_what_is_computed_leaves_no_file(
    fault: str, max_batch: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passes, "PIPELINE", (*passes.PIPELINE, FAULTS[fault]))
    with pytest.raises(ExportError, match=r"does not compute what the module does: results for .* differ by up to"):
        to_pte(small(), torch.zeros(1, 3, 8, 8), tmp_path / "m.pte", max_batch=max_batch)
    assert not list(tmp_path.iterdir())
    to_pte(small(), torch.zeros(1, 3, 8, 8), tmp_path / "m.pte", max_batch=max_batch, check=False)
    assert (tmp_path / "m.pte").exists()


def test_the_operator_that_the_back_end_gets_wrong_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the pass that spares XNNPACK a factor of resizing, XNNPACK takes another."""
    monkeypatch.setattr(passes, "PIPELINE", tuple(p for p in passes.PIPELINE if p is not passes.rewrite_interpolate))
    torch.manual_seed(0)
    resize = nn.Upsample(scale_factor=0.7, mode="bilinear")
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), resize, nn.Conv2d(4, 2, 1), nn.Sigmoid())
    with pytest.raises(ExportError, match=r"from aten::upsample_bilinear2d in 2 on\. .*Use operators that XNNPACK"):
        to_pte(net, torch.zeros(1, 3, 8, 8), tmp_path / "m.pte")


BRANCHES: dict[str, Callable[[Tensor], Tensor]] = {
    "several": lambda x: x * 2 if x.shape[0] > 1 else x * 3,
    "one": lambda x: x - 1 if x.size(0) == 1 else x,
}


@pytest.mark.parametrize("branch", ["several", "one"])
def test_a_branch_on_the_batch_is_refused_where_the_batch_is_dynamic(branch: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 4, 3)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = layer

        def forward(self, x: Tensor) -> Tensor:
            return BRANCHES[branch](self.layer(x))

    with pytest.raises(ExportError, match=r"Net computes something else for a single image.*x\.shape\[0\]") as caught:
        to_pte(Net(), torch.zeros(1, 3, 8, 8), tmp_path / "m.pte", max_batch=4)
    assert str(caught.value).endswith("It exports without a dynamic batch (max_batch)")
    path = to_pte(Net(), torch.zeros(1, 3, 8, 8), tmp_path / "m.pte").path
    x = np.random.default_rng(0).standard_normal((1, 3, 8, 8), np.float32)
    np.testing.assert_allclose(bittern.runtime.load(path)(x), Net()(torch.from_numpy(x)).detach(), atol=1e-5)


def test_verify_compares_with_the_module_on_the_batch_at_hand(tmp_path: Path) -> None:
    net = Apply(BRANCHES["several"])
    path = to_pte(net, torch.zeros(1, 3, 8, 8), tmp_path / "m.pte", max_batch=4, check=False).path
    images = np.random.default_rng(0).standard_normal((4, 3, 8, 8), np.float32)
    single = verify(net, path, images[:1])
    assert single.capture_margin > 0.1
    assert not single.passed
    assert verify(net, path, images).passed


def test_a_network_that_mixes_the_images_of_a_batch_is_exported_with_a_warning(tmp_path: Path) -> None:
    net = Apply(lambda x: x - x.mean(0, keepdim=True))
    with pytest.warns(ExportWarning, match="from others in its batch: the file computes 2 at a time"):
        to_pte(net, torch.zeros(2, 3, 4, 4), tmp_path / "m.pte")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        to_pte(small(), torch.zeros(2, 3, 8, 8), tmp_path / "m.pte")


def test_what_a_module_keeps_between_calls_is_no_part_of_a_file(tmp_path: Path) -> None:
    class Counts(nn.Module):
        calls = 0

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            return x * self.calls

    with pytest.raises(ExportError, match="captured another computation than Counts"):
        to_pte(Counts(), torch.zeros(1, 3), tmp_path / "m.pte")


WELL_BEHAVED: dict[str, Callable[[Tensor], Tensor]] = {
    "variance of nothing": lambda x: (x - x.mean((2, 3), keepdim=True)) / (x.var((2, 3), keepdim=True) + 1e-5).sqrt(),
    "a logarithm": lambda x: torch.log(x),
    "an overflow": lambda x: torch.exp(x * x).mean((2, 3)),
    "a quotient": lambda x: x / x.flatten(1).norm(dim=1)[:, None, None, None].clamp_min(1e-12),
    "a sum that cancels": lambda x: (x + 1000) - 1000 - x * 0.5,
}


@pytest.mark.parametrize("case", WELL_BEHAVED)
def test_rounding_errors_and_infinities_of_the_module_itself_are_no_fault(case: str, tmp_path: Path) -> None:
    to_pte(Apply(WELL_BEHAVED[case]), torch.zeros(1, 3, 5, 5), tmp_path / "m.pte")


def test_all_batches_of_a_dynamic_file_are_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[list[int]] = []
    run = bittern.runtime.run_in_process

    def watched(*args: object, **kwargs: object) -> object:
        tried.append(list(kwargs["batches"]))  # type: ignore[call-overload]
        return run(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(bittern.runtime, "run_in_process", watched)
    to_pte(small(), torch.zeros(1, 3, 8, 8), tmp_path / "m.pte", max_batch=9)
    assert tried[0] == [1, 2, 9]
    tried.clear()
    to_pte(small(), torch.zeros(3, 3, 8, 8), tmp_path / "m.pte")
    assert tried[0] == [1, 6]


def test_images_are_of_every_kind_and_the_same_in_every_run() -> None:
    batch, kinds = corpus.mixed(14, (3, 8, 8))
    assert kinds[:6] == kinds[6:12] == tuple(corpus.KINDS)
    np.testing.assert_array_equal(batch, corpus.mixed(14, (3, 8, 8))[0])
    np.testing.assert_array_equal(batch[:6], corpus.mixed(6, (3, 8, 8))[0])
    np.testing.assert_array_equal(batch[:8:6], corpus.images(corpus.NORMAL, 2, (3, 8, 8)))
    pixels = corpus.images(corpus.PIXELS, 3, (3, 8, 8))
    assert (pixels.min(), pixels.dtype) == (0, np.float32)
    assert pixels.max() >= 250
    smooth = corpus.images(corpus.SMOOTH, 3, (3, 32, 32))
    assert (smooth.min() >= 0, smooth.max() <= 1, np.abs(np.diff(smooth)).max() < 0.3) == (True,) * 3
    assert corpus.images(corpus.SMOOTH, 2, ()).shape == (2,)


def test_a_decision_that_rounding_turns_is_told_from_a_wrong_one() -> None:
    x = torch.tensor([[1e-8, 1.0], [0.5, -1.0], [2.0, 1.0]])

    def signs(shift: float, row: int = 0) -> Callable[[], Tensor]:
        moved = x.clone()
        moved[row] -= shift
        return lambda: binarize(moved) * torch.round(moved)

    ours = decisions(signs(0.0))
    assert [each.operator for each in ours] == ["bittern::binarize", "aten::round"]
    assert turned(ours, decisions(signs(2e-8)), 3).tolist() == [True, False, False]
    assert turned(ours, decisions(signs(1.0, row=1)), 3).tolist() == [False, False, False]
    assert turned(ours, decisions(lambda: binarize(x)), 3).tolist() == [False, False, False]
