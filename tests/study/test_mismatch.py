"""Agreement of gradients on a network whose smoothed slope is known in closed form."""

import math

import pytest
import torch
from torch import Tensor, nn

from bittern.ops import binarize
from bittern.study import (
    agreement,
)
from bittern.study.instruments.mismatch import Mismatch
from bittern.study.layers import LatentWeight
from bittern.study.look import Look


class Scalar(nn.Module):
    """w -> scale * sign(w): the loss itself."""

    latent_weights = ("w",)

    def __init__(self, w: list[float]) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor(w))
        self.register_buffer("seen", torch.zeros(()))

    def forward(self) -> Tensor:
        self.seen += 1
        return 3 * binarize(self.w).sum()


def test_the_agreement_of_a_sign_is_the_slope_of_its_smoothed_form() -> None:
    w = [1.0, 0.1, -0.2]
    model = Scalar(w)
    norm = math.hypot(*w)
    h, scale = 1e-2 * norm, 0.25 * norm / math.sqrt(3) * math.sqrt(2)
    move = h / math.sqrt(3)  # the gradient, 3 for each, has the direction (1, 1, 1)
    rise = sum(math.erf((v + move) / scale) - math.erf((v - move) / scale) for v in w)
    expected = 3 * rise / (2 * h * 3 * math.sqrt(3))
    found = agreement(model, model, [LatentWeight("w", model.w, True, False)])
    assert found["w"].item() == pytest.approx(expected, rel=1e-3)


def test_the_agreement_of_saturated_weights_is_not_asked_for() -> None:
    model = Scalar([5.0])  # no gradient passes
    assert agreement(model, model, [LatentWeight("w", model.w, True, False)]) == {}


def test_the_agreement_is_of_latent_weights_alone() -> None:
    model = Scalar([1.0, -1.0])
    instrument = Mismatch(model, model)
    for latent_free, measures in ((True, set()), (False, {"agreement"})):
        look = Look(1, [LatentWeight("w", model.w, True, latent_free)])
        with torch.no_grad():
            assert set(instrument.read(look, True)) == measures


def test_measuring_the_agreement_changes_nothing() -> None:
    model = Scalar([0.5, -0.1])
    before, state = {k: v.clone() for k, v in model.state_dict().items()}, torch.get_rng_state()
    agreement(model, model, [LatentWeight("w", model.w, True, False)])
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())
    assert model.w.grad is None
