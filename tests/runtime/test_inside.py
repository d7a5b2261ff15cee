"""What a loaded file shows of itself: the weights of its layers, and values on their way."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import bittern
from bittern.export import ExportError, binary_weights
from bittern.nn import BinaryConv1d, BinaryConv2d, BinaryConvTranspose2d, BinaryLinear
from bittern.ops import layout
from bittern.runtime import Engine, load
from bittern.runtime.bits import unpack_filters, unpack_signs
from doc_examples import examples
from models.small import trained


def norm(channels: int) -> nn.BatchNorm2d:
    """Half of its factors are negative, so that thresholds flip filters."""
    layer = nn.BatchNorm2d(channels)
    layer.weight.data.normal_()
    layer.bias.data.normal_()
    return layer


class Net(nn.Module):
    """Packed layers of every kind: integer thresholds, floats, weights alone, depthwise, rows."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 40, 3, padding=1)
        self.first = nn.Sequential(BinaryConv2d(40, 48, 3, padding=1, groups=4), norm(48))
        self.pool = nn.MaxPool2d(2)
        self.second = BinaryConv2d(48, 33, (3, 2), scale="mean_forward")
        self.real = BinaryConv2d(33, 20, 1, binarize_input=False)
        self.depthwise = nn.Sequential(BinaryConv2d(20, 20, 3, padding=1, groups=20), norm(20))
        self.head = BinaryLinear(20, 10)

    def forward(self, x: Tensor) -> Tensor:
        y = self.second(self.pool(self.first(self.stem(x))))
        return self.head(self.depthwise(self.real(y)).mean((2, 3)))


@pytest.fixture(scope="module")
def net() -> Net:
    torch.manual_seed(0)
    return Net().eval()


@pytest.fixture(scope="module")
def file(net: Net, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("inside") / "net.pte"
    bittern.export.to_pte(net, torch.randn(2, 3, 10, 9), path, check=False)
    return path


@pytest.fixture(scope="module")
def engine(file: Path) -> Engine:
    return load(file)


def test_signs_are_those_of_the_trained_weights_even_where_thresholds_flip_filters(net: Net, engine: Engine) -> None:
    found = engine.weights()
    assert list(found) == ["first.0", "second", "real", "depthwise.0", "head"]
    assert any(operator.flipped for operator in engine.metadata.operators)
    for path, weights in found.items():
        real = net.get_submodule(path).weight.detach().numpy()
        assert weights.signs.dtype == np.int8
        assert np.array_equal(weights.signs, np.where(real < 0, -1, 1)), path


def test_scales_are_the_factors_that_the_file_keeps(net: Net, engine: Engine) -> None:
    found = engine.weights()
    assert found["first.0"].scale is None
    magnitude = net.second.weight.detach().abs().mean((1, 2, 3)).numpy()
    assert np.allclose(found["second"].scale, magnitude, rtol=1e-6)
    gamma, variance = (getattr(net.depthwise[1], name).detach().numpy() for name in ("weight", "running_var"))
    assert np.allclose(found["depthwise.0"].scale, gamma / np.sqrt(variance + 1e-5), rtol=1e-6)
    assert np.array_equal(found["head"].scale, np.ones(10, np.float32))


def test_a_module_and_its_file_have_the_same_weights(net: Net, file: Path) -> None:
    ours, files = binary_weights(net, torch.randn(1, 3, 10, 9)), binary_weights(file)
    assert list(ours) == list(files)
    for path, weights in ours.items():
        assert np.array_equal(weights.signs, files[path].signs)
        assert (weights.scale is None) == (files[path].scale is None)
        assert weights.scale is None or np.array_equal(weights.scale, files[path].scale)


def test_a_module_without_an_example_is_refused_with_the_call_that_works(net: Net) -> None:
    with pytest.raises(ExportError, match=r"binary_weights\(module, example\)"):
        binary_weights(net)


def test_a_layer_in_several_parts_has_an_entry_for_each() -> None:
    torch.manual_seed(0)
    transposed = BinaryConvTranspose2d(8, 4, 2, stride=2)
    found = binary_weights(nn.Sequential(transposed), torch.randn(1, 8, 3, 3))
    assert list(found) == [f"0#{i}" for i in range(4)]
    taps = np.where(transposed.weight.detach().transpose(0, 1).numpy() < 0, -1, 1)
    for i, weights in enumerate(found.values()):
        assert np.array_equal(weights.signs[..., 0, 0], taps[:, :, i // 2, i % 2])


def test_the_parts_of_weights_with_zeros_add_up_to_them() -> None:
    class Ternary(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randint(-1, 2, (6, 8, 3, 3)).float())

        def forward(self, x: Tensor) -> Tensor:
            return F.conv2d(bittern.ops.binarize(x), self.weight)

    torch.manual_seed(0)
    net = Ternary()
    parts = binary_weights(net, torch.randn(1, 8, 5, 5)).values()
    assert len(parts) == 2
    total = sum(part.signs * part.scale[:, None, None, None] for part in parts if part.scale is not None)
    assert np.array_equal(total, net.weight.detach().numpy())


def test_a_1d_layer_is_an_image_of_one_row() -> None:
    layer = BinaryConv1d(8, 4, 3)
    signs = binary_weights(layer, torch.randn(1, 8, 9))[""].signs
    assert np.array_equal(signs[:, :, 0], np.where(layer.weight.detach().numpy() < 0, -1, 1))


@pytest.mark.parametrize(
    ("filters", "channels", "groups"), [(1, 1, 1), (17, 33, 1), (6, 6, 6), (40, 40, 4), (24, 96, 3), (70, 70, 70)]
)
def test_filters_are_unpacked_as_the_reference_does(filters: int, channels: int, groups: int) -> None:
    signs = torch.randint(0, 2, (filters, channels // groups, 3, 2)).float() * 2 - 1
    packed = layout.pack_weight(signs, groups)
    assert np.array_equal(unpack_filters(packed.numpy(), filters, channels, (3, 2), groups), signs.numpy())
    bits = layout.pack_bits(signs.flatten(1) < 0)
    assert np.array_equal(unpack_signs(bits.numpy(), signs[0].numel()), signs.flatten(1).numpy())


def test_tapped_values_are_those_of_the_modules(net: Net, engine: Engine) -> None:
    images = torch.randn(3, 3, 10, 9)
    logits, values = engine(images.numpy(), tap=["first.0", "second", "head"])
    assert np.array_equal(logits, engine(images.numpy()))
    assert list(values) == ["first.0", "second", "head"]
    with torch.no_grad():
        first = net.first(net.stem(images))
        second = net.second(net.pool(first))
    assert values["first.0"].dtype == np.int8
    agree = values["first.0"] == np.where(first.numpy() < 0, -1, 1)
    assert agree.mean() > 0.999  # the stem rounds otherwise in XNNPACK
    assert values["second"].shape == tuple(second.shape)
    assert np.isclose(values["second"], second.numpy(), rtol=1e-5).mean() > 0.9
    assert np.array_equal(values["head"], logits)


def test_pooled_bits_have_the_channels_of_the_layer_that_wrote_them(engine: Engine) -> None:
    _, values = engine(np.zeros((1, 3, 10, 9), np.float32), tap=["pool"])
    assert values["pool"].shape == (1, 48, 5, 4)
    assert set(np.unique(values["pool"])) <= {-1, 1}


def test_equal_bits_of_another_layer_are_not_taken_for_those_of_the_layer_that_was_pooled(tmp_path: Path) -> None:
    class Twins(nn.Module):
        """Two layers whose every output is +1, in words of the same number and of other channels."""

        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = (nn.Sequential(BinaryConv2d(32, n, 1), nn.BatchNorm2d(n)) for n in (33, 40))
            for layer in (self.one, self.two):
                nn.init.constant_(layer[1].bias, 1000.0)
            self.pool_one, self.pool_two = nn.MaxPool2d(2), nn.MaxPool2d(2)
            self.ends = nn.ModuleList([BinaryConv2d(33, 4, 1), BinaryConv2d(40, 4, 1)])

        def forward(self, x: Tensor) -> Tensor:
            one, two = self.one(x), self.two(x)
            return self.ends[0](self.pool_one(one)) + self.ends[1](self.pool_two(two))

    bittern.export.to_pte(Twins().eval(), torch.randn(1, 32, 4, 4), tmp_path / "net.pte", check=False)
    paths = ["pool_one", "pool_two"]
    _, values = load(tmp_path / "net.pte")(np.zeros((1, 32, 4, 4), np.float32), tap=paths)
    assert [values[path].shape for path in paths] == [(1, 33, 2, 2), (1, 40, 2, 2)]


def test_an_unknown_path_is_refused_with_the_known_ones(engine: Engine) -> None:
    with pytest.raises(ValueError, match=r"did you mean 'second'\? Known are .*second"):
        engine(np.zeros((1, 3, 10, 9), np.float32), tap=["scond"])


def test_the_example_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bittern.export.to_pte(
        bittern.models.create("digits-resnet"), torch.randn(1, 1, 8, 8), tmp_path / "net.pte", check=False
    )
    monkeypatch.chdir(tmp_path)
    found: dict[str, np.ndarray] = {}
    (code,) = (each for each in examples("run.md") if "tap=" in each)
    exec(code, {}, found)
    assert found["values"]["blocks.0.conv"].shape == (5, 64, 8, 8)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["digits-resnet", "quicknet-small", "bi-real-net-18", "reactnet-a", "binarynet"])
def test_registered_models_have_the_signs_of_their_weights_in_the_file(name: str, tmp_path: Path) -> None:
    net, example = trained(name, 1)
    bittern.export.to_pte(net, example, tmp_path / "net.pte", check=False)
    ours, files = binary_weights(net, example), load(tmp_path / "net.pte").weights()
    assert list(ours) == list(files)
    layers = {path: layer for path, layer in net.named_modules() if isinstance(layer, BinaryConv2d | BinaryLinear)}
    assert set(layers) <= set(files)
    for path, weights in files.items():
        assert np.array_equal(ours[path].signs, weights.signs)
        assert (weights.scale is None) == (ours[path].scale is None)
        assert weights.scale is None or np.allclose(weights.scale, ours[path].scale)
        if path in layers:
            assert np.array_equal(weights.signs, np.where(layers[path].weight.detach().numpy() < 0, -1, 1))
