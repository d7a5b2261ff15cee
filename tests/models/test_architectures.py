"""The particulars of each architecture: order of layers, sizes, padding, and the constants of its source."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from bittern.models import binary_densenet, create, meliusnet, reactnet
from bittern.models.real_to_binary import RealToBinaryBlock
from bittern.nn import BinaryConv2d, BinaryLinear, Conv2dSame, FactoredScale, Gate, RPReLU, RSign
from models.small import MODELS, full, small, small_input

BATCH_NORM = {
    "bi-real-net-18-larq": {(1e-3, 0.2)},
    "binary-alexnet": {(1e-3, 0.1)},
    "binarynet": {(1e-3, 0.01)},
    "dorefanet": {(1e-4, 0.1)},
    **{name: {(1e-3, 0.01), (1e-5, 0.1)} for name in MODELS if "quick" in name},
    "real-to-binary": {(1e-3, 0.01)},
    "real-to-binary-cifar": {(1e-3, 0.01)},
    "strong-baseline": {(1e-3, 0.01)},
    "xnor-net": {(1e-5, 0.1), (1e-4, 0.1), (1e-3, 0.1)},
}
"""Epsilon, and momentum in torch's sense; (1e-5, 0.1) for models that are not listed."""

STEPS = {
    **dict.fromkeys(("bi-real-net-18", "bi-real-net-18-larq", "bi-real-net-34"), ("approx_sign", "ste", "mean")),
    "bi-real-net-cifar": ("approx_sign", "ste", "mean"),
    "binary-alexnet": ("ste", "ste", "none"),
    **dict.fromkeys((n for n in MODELS if "densenet" in n or n == "meliusnet-22"), ("ste_1.3", "ste_1.3", "none")),
    **dict.fromkeys((n for n in MODELS if "resnet-e" in n or "quick" in n), ("ste_1.25", "ste_1.25", "none")),
    "binarynet": ("ste", "ste", "none"),
    "bnext-t": (None, "identity", "none"),
    "cifar-resnet": (None, "ste", "none"),
    "digits-resnet": (None, "ste", "none"),
    "digits-transformer": ("approx_sign", "ste", "mean"),
    "dorefanet": (None, "identity", "layer_mean"),
    "react-resnet-18": (None, "ste", "mean"),
    "reactnet-a": (None, "ste", "mean"),
    **dict.fromkeys(("real-to-binary", "real-to-binary-cifar", "strong-baseline"), ("ste", "ste", "none")),
    "xnor-net": ("ste", "ste", "mean"),
}
"""Estimators of input (None if the layer does not binarize it) and weight, and the scale, of every binary layer."""


@pytest.mark.parametrize("name", MODELS)
def test_batch_norm_has_the_constants_of_the_source(name: str) -> None:
    norms = [m for m in full(name).modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    expected = set() if "transformer" in name else BATCH_NORM.get(name, {(1e-5, 0.1)})
    assert {(m.eps, m.momentum) for m in norms} == expected


@pytest.mark.parametrize("name", MODELS)
def test_binary_layers_have_the_gradients_and_scales_of_the_source(name: str) -> None:
    layers = [m for m in full(name).modules() if isinstance(m, BinaryConv2d | BinaryLinear)]
    found = {(m.estimator if m.binarize_input else None, m.weight_estimator, m.scale_kind) for m in layers}
    # A first layer does not binarize the image.
    assert found - {(None, "ste", "none")} | {STEPS[name]} == {STEPS[name]}


@pytest.mark.parametrize("name", MODELS)
def test_thresholds_have_the_gradient_of_the_source(name: str) -> None:
    expected = "ste_1.5" if name == "bnext-t" else "approx_sign"
    assert {m.estimator for m in full(name).modules() if isinstance(m, RSign)} <= {expected}


def sizes(name: str, kind: type[nn.Module]) -> list[int]:
    """Heights of the outputs of the layers of ``kind``, in order, at 224 x 224."""
    model, heights = full(name), []
    hooks = [
        m.register_forward_hook(lambda _, x, y: heights.append(y.shape[2])) for m in model.modules() if type(m) is kind
    ]
    with torch.no_grad():
        model.eval()(torch.empty(1, 3, 224, 224, device="meta"))
    for hook in hooks:
        hook.remove()
    return heights


def test_reactnet_halves_the_image_where_it_doubles_the_channels() -> None:
    assert sizes("reactnet-a", reactnet.ReActNetBlock) == [112, 56, 56, 28, 28, 14, 14, 14, 14, 14, 14, 7, 7]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("binary-densenet-37", [56] * 6 + [28] * 8 + [14] * 12 + [7] * 6),
        ("binary-densenet-37-dilated", [56] * 6 + [28] * 26),
    ],
)
def test_dilated_stages_keep_their_size(name: str, expected: list[int]) -> None:
    assert sizes(name, binary_densenet.DenseBlock) == expected
    dilations = [m.dilation[0] for m in full(name).modules() if isinstance(m, BinaryConv2d)]
    assert dilations == [{56: 1, 28: 1, 14: 1, 7: 1}[size] for size in expected] or dilations == (
        [1] * 14 + [2] * 12 + [4] * 6
    )


def test_a_dense_block_keeps_what_is_there_and_appends() -> None:
    block = binary_densenet.DenseBlock(32, 16, 2, "binary").eval()
    x = torch.randn(1, 32, 6, 6)
    y = block(x)
    signs = torch.where(block.norm(x) < 0, -1.0, 1.0)
    weight = torch.where(block.conv.weight < 0, -1.0, 1.0)
    assert torch.equal(y[:, :32], x)
    assert torch.equal(y[:, 32:], F.conv2d(signs, weight, padding=2, dilation=2))


def test_an_improvement_block_changes_the_last_64_channels_alone() -> None:
    block = meliusnet.MeliusBlock(32, "binary").eval()
    x = torch.randn(1, 32, 6, 6)
    y, dense = block(x), torch.cat([x, block.dense(x)], 1)
    assert torch.equal(y[:, :32], x)
    torch.testing.assert_close(y[:, 32:], dense[:, 32:] + block.improve(dense))


def test_reactnets_two_pointwise_convolutions_share_signs_and_shortcut() -> None:
    block = reactnet.ReActNetBlock(8, 16, 2, "binary", "mean").eval()
    for parameter in block.parameters():
        parameter.data.normal_()
    x = torch.randn(1, 8, 6, 6)

    def convolve(step: nn.Sequential, signs: torch.Tensor) -> torch.Tensor:
        weight = step[0].weight
        scaled = torch.where(weight < 0, -1.0, 1.0) * weight.abs().mean((1, 2, 3), keepdim=True)
        return step[1](F.conv2d(signs, scaled, None, step[0].stride, step[0].padding))

    signs = torch.where(x + block.spatial_sign.shift[:, None, None] < 0, -1.0, 1.0)
    y = block.spatial_activation(convolve(block.spatial, signs) + F.avg_pool2d(x, 2))
    signs = torch.where(y + block.pointwise_sign.shift[:, None, None] < 0, -1.0, 1.0)
    first, second = (convolve(step, signs) + y for step in block.pointwise)
    torch.testing.assert_close(block(x), block.activation(torch.cat([first, second], 1)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("scale", [Gate(16, 16), FactoredScale(16, 4, 4)])
def test_real_to_binary_scales_then_bends_then_adds(scale: Gate | FactoredScale) -> None:
    block = RealToBinaryBlock(16, 16, 1, scale, "binary").eval()
    block.activation.weight.data.fill_(0.25)
    x = torch.randn(2, 16, 4, 4)
    z = block.norm(x)
    convolved = F.conv2d(torch.where(z < 0, -1.0, 1.0), torch.where(block.conv.weight < 0, -1.0, 1.0), padding=1)
    scaled = convolved * scale(z) if isinstance(scale, Gate) else scale(convolved)
    torch.testing.assert_close(block(x), F.prelu(scaled, torch.tensor([0.25])) + x)


@pytest.mark.parametrize(
    ("model", "activation"), [("real-to-binary-cifar", torch.tanh), ("bi-real-net-cifar", torch.relu)]
)
def test_the_sign_of_a_float_network_is_the_activation_of_its_paper(
    model: str, activation: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    conv = create(model, precision="float").blocks[0].conv
    x = torch.randn(1, conv.in_channels, 5, 5)
    torch.testing.assert_close(conv(x), F.conv2d(activation(x), conv.weight, padding=1))


@pytest.mark.parametrize(
    ("name", "padding", "first"), [("bi-real-net-18", (1, 1), nn.Conv2d), ("bi-real-net-18-larq", "same", Conv2dSame)]
)
def test_larq_pads_as_keras_does(name: str, padding: object, first: type[nn.Module]) -> None:
    assert {m.padding for m in full(name).modules() if isinstance(m, BinaryConv2d)} == {padding}
    assert type(full(name).stem[0]) is first


def test_a_dense_layer_over_the_image_is_a_convolution_of_its_size() -> None:
    model, x = small("binary-alexnet").eval(), small_input("binary-alexnet")
    features = model.features(x)
    dense = model.classifier[0]
    signs = torch.where(features < 0, -1.0, 1.0).flatten(1)
    weight = torch.where(dense.weight < 0, -1.0, 1.0).flatten(1)
    assert torch.equal(dense(features).flatten(1), signs @ weight.T)


def test_the_stem_of_reactnet_has_no_activation() -> None:
    kinds = (nn.ReLU, nn.PReLU, RPReLU)
    for name in ("reactnet-a", "react-resnet-18"):
        assert not any(isinstance(m, kinds) for m in full(name).stem.modules())


def test_alexnets_normalize_behind_the_pooling_and_dorefanet_in_front_of_it() -> None:
    order = [type(m).__name__ for m in full("binary-alexnet").features]
    assert order[:6] == ["BinaryConv2d", "MaxPool2d", "UnscaledBatchNorm2d"] * 2
    order = [type(m).__name__ for m in full("dorefanet").features]
    assert order[1:5] == ["DoReFaActivation", "BinaryConv2d", "UnscaledBatchNorm2d", "MaxPool2dSame"]
