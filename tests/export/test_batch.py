"""One file that computes any number of images at once."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from deploy import Apply
from test_to_pte import images, small_net
from torch import Tensor, nn

import bittern
from bittern.export import ExportError, ExportWarning, to_pte
from bittern.nn import BinaryConv2d, BinaryLinear
from bittern.runtime import load

pytestmark = pytest.mark.slow


class Tokens(nn.Module):
    """Shapes from the batch: tokens, binary rows, and images of one pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.mix, self.head = nn.Conv2d(3, 32, 4, stride=4), BinaryLinear(32, 40), nn.Linear(40, 5)
        self.squeeze = nn.Conv2d(40, 40, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.stem(x)
        tokens = self.mix(y.flatten(2).transpose(1, 2).reshape(x.shape[0], 4, 32))
        y = tokens.transpose(1, 2).reshape(x.size(0), 40, 2, 2)
        y = F.relu(self.squeeze(y))
        return self.head(y.reshape(-1, 40))


class Concatenated(nn.Module):
    """Binary layers whose results are joined, pooled and read as float too."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = BinaryConv2d(3, 32, 3, padding=1), BinaryConv2d(35, 7, 3, padding=1)
        self.norm, self.skip = nn.BatchNorm2d(35), nn.Conv2d(35, 7, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(torch.cat([x, self.a(x)], 1))
        return F.avg_pool2d(self.b(y) + self.skip(y), 2).mean((2, 3))


NETS = {"conv": small_net, "tokens": Tokens, "concat": Concatenated}


def net_of(name: str) -> nn.Module:
    torch.manual_seed(0)
    return NETS[name]().eval()


@pytest.mark.parametrize("name", NETS)
def test_every_batch_gives_the_very_numbers_of_single_images(name: str, tmp_path: Path) -> None:
    net, x = net_of(name), images(13).numpy()
    single = to_pte(net, images(1), tmp_path / "single.pte")
    dynamic = to_pte(net, images(1), tmp_path / "dynamic.pte", max_batch=6)
    expected = load(single.path)(x)
    engine = load(dynamic.path)
    assert engine.metadata.dynamic_batch
    assert engine.metadata.input_shape == (6, 3, 8, 8)
    assert engine.metadata.output_shape == (6, 5 if name != "concat" else 7)
    assert [row.runs for row in dynamic.explanation.rows] == [row.runs for row in single.explanation.rows]
    # In turn, because every run leaves the tensors of the program at other sizes.
    for count in (1, 6, 2, 13, 5, 1, 7):
        np.testing.assert_array_equal(engine(x[:count]), expected[:count])


@pytest.mark.parametrize("name", NETS)
def test_the_largest_batch_may_be_any_number(name: str, tmp_path: Path) -> None:
    """torch takes other libraries for convolutions of 16 images and more, and would forbid the program either kind."""
    net, x = net_of(name), images(50).numpy()
    single = to_pte(net, images(1), tmp_path / "single.pte")
    engine = load(to_pte(net, images(1), tmp_path / "dynamic.pte", max_batch=40).path)
    assert engine.metadata.input_shape[0] == 40
    np.testing.assert_array_equal(engine(x), load(single.path)(x))


def test_only_the_images_given_are_computed(tmp_path: Path) -> None:
    engine = load(to_pte(small_net(), images(1), tmp_path / "net.pte", max_batch=8).path)
    for count in (3, 8, 1):
        (batch, _), *others = engine._batches([images(count).numpy()], {})
        assert not others
        # As the operators saw them.
        assert {len(output) for _, _, outputs in engine._engine.trace(batch) for output in outputs} == {count}
    assert {len(output) for call in engine.trace(images(11).numpy()) for output in call.outputs} == {11}
    assert engine.profile(images(3).numpy(), runs=1)


def test_memory_is_planned_for_the_largest_batch(tmp_path: Path) -> None:
    engine = load(to_pte(small_net(), images(1), tmp_path / "net.pte", max_batch=4).path)
    native = engine._engine
    assert native.inputs[0][0] == [4, 3, 8, 8]
    too_many = [np.zeros((5, 8, 8, 3), np.float32)]
    with pytest.raises(Exception, match="5 rows, not 1 to 4"):
        native.run(too_many)
    assert engine(images(5).numpy()).shape == (5, 5)


def test_a_file_of_fixed_batch_takes_no_other(tmp_path: Path) -> None:
    engine = load(to_pte(small_net(), images(4), tmp_path / "net.pte").path)
    assert not engine.metadata.dynamic_batch
    assert engine(images(3).numpy()).shape == (3, 5)  # filled up
    with pytest.raises(Exception, match=r"cannot be run|the program fails"):
        engine._engine.run([np.zeros((3, 8, 8, 3), np.float32)])


def test_a_largest_batch_of_one_is_a_file_of_single_images(tmp_path: Path) -> None:
    to_pte(small_net(), images(1), tmp_path / "a.pte")
    to_pte(small_net(), images(5), tmp_path / "b.pte", max_batch=1)
    assert (tmp_path / "a.pte").read_bytes() == (tmp_path / "b.pte").read_bytes()


def test_a_dynamic_file_is_verified_like_others(tmp_path: Path) -> None:
    path = to_pte(small_net(), images(1), tmp_path / "net.pte", max_batch=8).path
    result = bittern.export.verify(small_net(), path, images(20).numpy())
    assert result.passed
    assert result.images == 20


class Residuals(nn.Module):
    """Sums, whose nodes share their names with those of sizes; rounded to steps where ``steps``."""

    def __init__(self, steps: bool) -> None:
        super().__init__()
        self.stem, self.steps = nn.Conv2d(3, 32, 3, padding=1), steps
        self.a, self.b = BinaryConv2d(32, 32, 3, padding=1), BinaryConv2d(32, 32, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.stem(x)
        y = y + F.relu(self.a(y))
        y = y + F.relu(self.b(y.reshape(x.shape[0], 32, 8, 8)))
        return (torch.round(y.clamp(0, 1) * 3) if self.steps else y).mean((2, 3))


@pytest.mark.parametrize("steps", [False, True])
def test_a_dynamic_file_with_residuals_is_verified_in_batches_of_any_size(steps: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = Residuals(steps).eval()
    path = to_pte(net, images(1), tmp_path / "net.pte", max_batch=3).path
    for count in (1, 7):
        result = bittern.export.verify(net, path, images(count).numpy())
        assert result.passed
        assert result.images == count
        assert any(layer.model_differences is not None for layer in result.layers)
    net.b.weight.data.neg_()
    assert not bittern.export.verify(net, path, images(4).numpy()).passed


@pytest.mark.parametrize("max_batch", [0, -1, 1.5, True])
def test_the_largest_batch_is_a_positive_integer(max_batch: object, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=f"max_batch must be an integer of at least 1, got {max_batch}"):
        to_pte(small_net(), images(1), tmp_path / "x.pte", max_batch=max_batch)  # type: ignore[arg-type]


def test_a_module_that_fixes_the_batch_is_told_how_not_to(tmp_path: Path) -> None:
    module = Apply(lambda x: x.reshape(2, 192).reshape(2, 3, 64).sum(-1))
    with pytest.raises(ExportError, match=r"does not run for every batch from 1 to 4.* export without"):
        to_pte(module, images(2), tmp_path / "x.pte", max_batch=4)
    assert not (tmp_path / "x.pte").exists()


@pytest.mark.filterwarnings("ignore:nothing in this model is binary")
def test_what_xnnpack_takes_of_fixed_batch_alone_runs_in_a_kernel_for_any(tmp_path: Path) -> None:
    module, x = Apply(lambda x: F.relu(x[:, :2]).flatten(1)), images(3)
    with pytest.warns(ExportWarning, match="runs in ExecuTorch's slow aten::slice_copy"):
        to_pte(module, images(1), tmp_path / "x.pte", max_batch=4)
    np.testing.assert_array_equal(load(tmp_path / "x.pte")(x.numpy()), module(x).numpy())
