"""BatchNorm without a factor."""

import pytest
import torch
from torch import nn

from bittern.nn import UnscaledBatchNorm1d, UnscaledBatchNorm2d

CASES = [(UnscaledBatchNorm1d, nn.BatchNorm1d, (6, 3)), (UnscaledBatchNorm2d, nn.BatchNorm2d, (6, 3, 4, 5))]


@pytest.mark.parametrize(("unscaled", "plain", "shape"), CASES)
@pytest.mark.parametrize("training", [True, False])
def test_it_is_torchs_layer_with_a_factor_of_one(
    unscaled: type[nn.Module], plain: type[nn.Module], shape: tuple[int, ...], training: bool
) -> None:
    layer, torchs = unscaled(3, 1e-3, 0.2).train(training), plain(3, 1e-3, 0.2).train(training)
    layer.bias.data.normal_()
    layer.running_mean.normal_()
    torchs.load_state_dict({**layer.state_dict(), "weight": torch.ones(3)})
    x = torch.randn(shape)
    torch.testing.assert_close(layer(x), torchs(x))
    torch.testing.assert_close(layer.running_var, torchs.running_var)
    for module in (layer, torchs):
        module(x).square().sum().backward()
    torch.testing.assert_close(layer.bias.grad, torchs.bias.grad)


@pytest.mark.parametrize(("unscaled", "plain", "shape"), CASES)
def test_it_learns_only_an_offset(unscaled: type[nn.Module], plain: type[nn.Module], shape: tuple[int, ...]) -> None:
    assert [name for name, _ in unscaled(3).named_parameters()] == ["bias"]
    layer = unscaled(3, device="meta", dtype=torch.float64)
    assert (layer.bias.device.type, layer.bias.dtype) == ("meta", torch.float64)
    layer = unscaled(3)
    layer.bias.data.fill_(1)
    layer.running_mean.fill_(1)
    layer.reset_parameters()
    assert layer.bias.tolist() == layer.running_mean.tolist() == [0, 0, 0]
