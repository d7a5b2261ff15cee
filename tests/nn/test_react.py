"""RSign and RPReLU, the two activations of ReActNet."""

import math

import pytest
import torch
from torch import nn

from bittern.nn import RPReLU, RSign

SHAPES = [(2, 3), (2, 3, 4), (2, 3, 4, 5)]


def column(values: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    return values.reshape(1, -1, *[1] * (len(shape) - 2))


@pytest.mark.parametrize("shape", SHAPES)
def test_rsign_compares_each_channel_with_its_threshold(shape: tuple[int, ...]) -> None:
    layer, x = RSign(3), torch.randn(shape)
    layer.shift.data.copy_(torch.tensor([-0.5, 0.0, 0.5]))
    assert torch.equal(layer(x), torch.where(x < column(-layer.shift.detach(), shape), -1.0, 1.0))


def test_rsign_gives_plus_one_at_the_threshold_and_for_nan() -> None:
    layer = RSign(1)
    layer.shift.data.fill_(-0.1)
    assert layer(torch.tensor([[0.1], [math.nan]], dtype=torch.float32)).flatten().tolist() == [1.0, 1.0]


def test_rsign_starts_as_the_plain_sign_and_its_shift_gets_the_estimators_gradient() -> None:
    layer, x = RSign(1), torch.tensor([[0.25], [-2.0], [-0.5]], requires_grad=True)
    y = layer(x)
    assert y.flatten().tolist() == [1.0, -1.0, -1.0]
    y.sum().backward()
    assert x.grad.flatten().tolist() == [1.5, 0.0, 1.0]
    assert layer.shift.grad.item() == 2.5


@pytest.mark.parametrize("shape", SHAPES)
def test_rprelu_shifts_bends_and_shifts(shape: tuple[int, ...]) -> None:
    layer, x = RPReLU(3), torch.randn(shape)
    for parameter in layer.parameters():
        parameter.data.normal_()
    v = x + column(layer.shift_in.detach(), shape)
    bent = torch.where(v > 0, v, v * column(layer.weight.detach(), shape))
    torch.testing.assert_close(layer(x), bent + column(layer.shift_out.detach(), shape))


def test_rprelu_starts_as_prelu() -> None:
    x = torch.randn(2, 3, 4, 4)
    assert torch.equal(RPReLU(3, 0.1)(x), nn.PReLU(3, 0.1)(x))


@pytest.mark.parametrize("layer", [RSign, RPReLU])
def test_device_and_dtype_reach_every_parameter(layer: type[nn.Module]) -> None:
    made = layer(3, device="meta", dtype=torch.float64)
    assert {(p.device.type, p.dtype) for p in made.parameters()} == {("meta", torch.float64)}
    assert all(p.shape == (3,) for p in made.parameters())


def test_representations_show_channels_and_estimator() -> None:
    assert repr(RSign(3, estimator="ste")) == "RSign(3, estimator='ste')"
    assert repr(RPReLU(3)) == "RPReLU(num_parameters=3)"


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rprelu_has_the_gradients_of_torchs_prelu(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    layer, plain = RPReLU(3).to(dtype), nn.PReLU(3).to(dtype)
    x = torch.randint(-4, 5, shape).to(dtype).requires_grad_()  # zeros too; sums are exact in bfloat16
    z = x.detach().clone().requires_grad_()
    layer(x).backward(torch.ones_like(x))
    plain(z).backward(torch.ones_like(z))
    assert torch.equal(x.grad, z.grad)
    assert torch.equal(layer.weight.grad, plain.weight.grad)
    assert torch.equal(layer.shift_in.grad, x.grad.sum([d for d in range(x.dim()) if d != 1]))


def test_exported_activations_are_one_binarize_and_one_prelu() -> None:
    layer = nn.Sequential(RSign(3), RPReLU(3)).eval()
    x = torch.randn(1, 3, 4, 4)
    program = torch.export.export(layer, (x,))
    targets = [node.target for node in program.graph.nodes if node.op == "call_function"]
    assert targets.count(torch.ops.bittern.binarize.default) == 1
    assert targets.count(torch.ops.aten.prelu.default) == 1
    assert torch.equal(program.module()(x), layer(x))


def test_under_autocast_the_layers_keep_the_dtype_of_the_activations() -> None:
    x = torch.randn(2, 3, 4, 4, dtype=torch.bfloat16)
    assert RSign(3)(x).dtype == RPReLU(3)(x).dtype == torch.bfloat16
