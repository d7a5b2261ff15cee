"""Progress of the training, for estimators that change with it."""

import copy
import math

import pytest
import torch
from torch import nn

from bittern.nn import AdaBinSign, BinaryConv2d, BinaryLinear, MagnitudeAwareSign, RSign, set_progress

MAKERS = {
    "conv weight": lambda name: BinaryConv2d(2, 3, 3, weight_estimator=name),
    "conv input": lambda name: BinaryConv2d(2, 3, 3, estimator=name),
    "linear weight": lambda name: BinaryLinear(5, 3, weight_estimator=name),
    "linear input": lambda name: BinaryLinear(5, 3, estimator=name),
    "rsign": lambda name: RSign(2, estimator=name),
    "adabin": lambda name: AdaBinSign(estimator=name),
    "magnitude-aware": lambda name: MagnitudeAwareSign(estimator=name),
}


class Own(nn.Module):
    """A user's module, with a number."""

    def __init__(self) -> None:
        super().__init__()
        self.progress = 0.0


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("name", ["ede", "reste"])
def test_layers_start_at_zero_and_their_gradient_follows(kind: str, name: str) -> None:
    torch.manual_seed(0)
    layer = MAKERS[kind](name)
    x = torch.randn(4, 5) if "linear" in kind else torch.randn(2, 2, 5, 5)

    def gradient() -> torch.Tensor:
        z = x.clone().requires_grad_()
        layer(z).square().sum().backward()
        return torch.cat([z.grad.flatten(), *(p.grad.flatten() for p in layer.parameters())])

    assert layer.progress == 0
    buffer = layer.progress
    first = gradient()
    layer.zero_grad()
    set_progress(layer, 1.0)
    assert layer.progress == 1
    assert layer.progress is buffer  # in place: it stays on its device, and compiled code reads it
    assert not torch.equal(first, gradient())


@pytest.mark.parametrize("kind", MAKERS)
def test_state_has_nothing_of_it_and_other_layers_have_no_buffer(kind: str) -> None:
    scheduled, plain = MAKERS[kind]("ede"), MAKERS[kind]("ste")
    assert list(scheduled.state_dict()) == list(plain.state_dict())
    assert plain.progress is None
    assert list(plain.buffers()) == []
    plain.load_state_dict(scheduled.state_dict())


def test_progress_is_set_in_all_modules_that_have_it_and_in_no_other() -> None:
    net = nn.Sequential(RSign(2, estimator="ede"), nn.Sequential(Own(), RSign(2)), nn.ReLU())
    set_progress(net, 0.25)
    assert net[0].progress == 0.25
    assert net[1][0].progress == 0.25
    assert net[1][1].progress is None
    assert not hasattr(net[2], "progress")
    set_progress(net, 1)
    assert net[0].progress == net[1][0].progress == 1


@pytest.mark.parametrize("fraction", [-0.01, 1.01, math.nan])
def test_a_fraction_outside_the_training_is_refused(fraction: float) -> None:
    with pytest.raises(ValueError, match=r"fraction must be the share of the training done, in \[0, 1\], got"):
        set_progress(nn.ReLU(), fraction)


def test_progress_moves_and_is_copied_with_its_layer() -> None:
    layer = RSign(2, device="meta", estimator="ede")
    assert layer.progress.device.type == "meta"
    layer = RSign(2, estimator="ede")
    set_progress(layer, 0.5)
    twin = copy.deepcopy(layer)
    set_progress(layer, 1.0)
    assert twin.progress == 0.5
