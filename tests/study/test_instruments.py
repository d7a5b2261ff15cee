"""Each instrument on a case whose value is known in closed form."""

import math
from typing import Any

import pytest
import torch
from torch import nn

from bittern.ops import binarize
from bittern.study import (
    get_instrument,
    list_instruments,
    quantization_error,
)
from bittern.study.instruments import INSTRUMENTS
from bittern.study.instruments.channels import Channels
from bittern.study.instruments.dead_weights import DeadWeights
from bittern.study.instruments.latent import Latent
from bittern.study.instruments.magnitudes import Gradients, LatentMagnitudes, Moments, Updates, cam, sdam
from bittern.study.instruments.quantization import Quantization
from bittern.study.instruments.saturation import Saturation
from bittern.study.look import MOMENTS, Look, histogram
from study.small import latent, observed, read


@pytest.mark.parametrize("name", list_instruments())
def test_every_instrument_says_what_it_measures_and_where_that_comes_from(name: str) -> None:
    row = get_instrument(name)
    assert row.name == name
    assert row.source
    assert row.__doc__
    assert row.measures
    for measure in row.measures:
        assert measure.equation
        assert measure.unit


def test_no_two_instruments_share_a_measure() -> None:
    names = [measure.name for row in INSTRUMENTS.values() for measure in row.measures]
    assert len(names) == len(set(names))


def test_an_unknown_instrument_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ValueError, match="did you mean 'flips'"):
        get_instrument("flip")


def test_saturation_is_the_share_beyond_one() -> None:
    instrument = Saturation()
    x = torch.tensor([[-3.0, -1.0, 0.5, 1.0], [1.01, 2.0, -1.5, 0.0]])  # 4 of 8 lie beyond; 1 itself does not
    values = read(instrument, observed(instrument, x))
    assert values["saturation"] == 0.5
    assert sum(values["activation_histogram"]) == 8


def test_saturation_of_uniform_values_is_one_minus_the_clip_over_the_width() -> None:
    instrument = Saturation()
    values = read(instrument, observed(instrument, torch.linspace(-4, 4, 80001)))
    assert values["saturation"] == pytest.approx(0.75, abs=1e-4)


def test_the_sums_of_several_passes_are_one_share() -> None:
    instrument = Saturation()
    halves = [instrument.observe(nn.Identity(), torch.full((n,), v), False) for n, v in ((30, 2.0), (10, 0.0))]
    look = Look(1, [], sums={"saturation": {"site": halves[0] + halves[1]}})
    assert read(instrument, look, snapshot=False)["saturation"] == 0.75


@pytest.mark.parametrize(
    ("shape", "module"), [((4, 3, 2, 2), nn.Identity()), ((4, 3), nn.Identity()), ((4, 5, 3), nn.Linear(3, 1))]
)
def test_channels_of_one_sign_are_dead_and_come_back(shape: tuple[int, ...], module: nn.Module) -> None:
    instrument = Channels()
    signs = torch.ones(shape)
    channel = 1 if len(shape) == 4 else len(shape) - 1
    signs.select(channel, 1).neg_()
    signs.select(channel, 2)[0] = -1.0
    first = read(instrument, observed(instrument, signs, module))
    assert first["dead_channels"] == pytest.approx(2 / 3)
    assert first["positive_share"][:2] == [1.0, 0.0]
    assert "revived_channels" not in first
    second = read(instrument, observed(instrument, torch.ones(shape).index_fill_(0, torch.tensor(0), -1.0), module))
    assert second["dead_channels"] == 0.0
    assert second["revived_channels"] == 1.0


def test_where_none_was_dead_none_can_come_back() -> None:
    channels, weight = Channels(), latent([1.0, 2.0])
    weight.parameter.grad = torch.ones(2)
    dead = DeadWeights()
    for _ in range(2):
        activations = read(channels, observed(channels, torch.tensor([[1.0], [-1.0]])))
        weights = read(dead, Look(1, [weight]))
    assert math.isnan(activations["revived_channels"])
    assert math.isnan(weights["revived_weights"])


def test_a_channel_is_dead_only_if_constant_over_the_whole_window() -> None:
    instrument = Channels()
    assert read(instrument, observed(instrument, torch.ones(4, 2), window_ends=False)) == {}
    values = read(instrument, observed(instrument, torch.tensor([[1.0, -1.0]] * 4)))
    assert values["dead_channels"] == 0.5
    assert values["positive_share"] == [1.0, 0.5]


def test_weights_are_dead_if_no_gradient_reached_them_in_the_window() -> None:
    instrument, weight = DeadWeights(), latent([[1.0, 2.0], [3.0, 4.0]])
    windows = [([[0, 1], [0, 0]], [[0, 0], [1, 0]]), ([[1, 1], [0, 0]], [[0, 0], [0, 1]])]
    found = []
    for window in windows:
        for gradient, ends in zip(window, (False, True), strict=True):
            weight.parameter.grad = torch.tensor(gradient, dtype=torch.float32)
            values = read(instrument, Look(1, [weight], window_ends=ends))
        found.append(values)
    assert found[0] == {"dead_weights": 0.5}  # [0, 0] and [1, 1]
    assert found[1] == {"dead_weights": 0.25, "revived_weights": 1.0}  # both live; [1, 0] does not


def test_a_layer_without_gradient_is_not_called_dead() -> None:
    assert read(DeadWeights(), Look(1, [latent([1.0])])) == {}


def test_cam_is_the_mean_magnitude_of_a_filter_and_sdam_its_spread() -> None:
    values = torch.tensor([[[1.0, -3.0]], [[0.0, 4.0]], [[-8.0, 0.0]]])
    assert cam(values).tolist() == [2.0, 2.0, 4.0]
    assert sdam(cam(values)).item() == pytest.approx(math.sqrt(8) / 3)
    assert sdam(torch.ones(1)).item() == 0.0
    channels_last = torch.randn(3, 4, 2, 2).to(memory_format=torch.channels_last)
    torch.testing.assert_close(cam(channels_last), channels_last.abs().flatten(1).mean(1))


def test_gradients_updates_and_moments_are_those_of_the_step() -> None:
    weight = latent([[0.5, -0.5], [1.0, 1.0]])
    optimizer = torch.optim.Adam([weight.parameter], lr=0.1, betas=(0.5, 0.75))
    before = {"layer": weight.parameter.detach().clone()}
    weight.parameter.grad = torch.tensor([[2.0, -2.0], [4.0, 0.0]])
    optimizer.step()
    look = Look(1, [weight], [optimizer], before)
    assert read(Gradients(), look)["gradient_cam"] == [2.0, 2.0]
    assert read(Gradients(), look)["gradient_sdam"] == 0.0
    moments = read(Moments(), look)
    assert moments["first_moment_cam"] == [1.0, 1.0]  # (1 - 0.5) g
    assert moments["second_moment_cam"] == [1.0, 2.0]  # (1 - 0.75) g^2
    # Adam's first step is lr * sign(g), and nothing where g is 0.
    assert read(Updates(), look)["update_cam"] == pytest.approx([0.1, 0.05], rel=1e-4)


@pytest.mark.parametrize("name", MOMENTS)
def test_moments_are_found_by_the_names_that_optimizers_use(name: str) -> None:
    weight = latent([1.0, 2.0])
    optimizer = torch.optim.SGD([weight.parameter], lr=0.1)
    optimizer.state[weight.parameter] = {name: torch.tensor([2.0, 4.0]), "step": torch.tensor(3.0), "other": weight}
    assert set(Look(1, [weight], [optimizer]).moments(weight)) == {MOMENTS[name]}


def test_latent_magnitudes_are_sdam_of_the_weights() -> None:
    values = read(LatentMagnitudes(), Look(1, [latent([[0.1, -0.3], [0.4, 0.4]])]))
    assert values["latent_cam"] == pytest.approx([0.2, 0.4])
    assert values["latent_mean"] == pytest.approx(0.3)
    assert values["latent_sdam"] == pytest.approx(0.1)


def test_confidence_and_inertia() -> None:
    weight = latent([0.0, 0.01, -0.5, 2.0, -1.0])
    look = Look(1, [weight], before={"layer": weight.parameter.detach() - torch.tensor([0.1, -0.1, 0.1, 0.1, 0.1])})
    values = read(Latent(), look)
    assert values["confidence"] == pytest.approx(0.702)
    assert values["near_zero"] == pytest.approx(2 / 5)
    assert values["beyond_one"] == pytest.approx(1 / 5)
    assert values["inertia"] == pytest.approx(7.02, rel=1e-5)
    assert sum(values["latent_weights"]) == 5
    assert values["latent_weights"][-1] == 1  # 2.0 lies beyond the last bin and counts in it


def test_share_near_zero_of_uniform_weights() -> None:
    weight = latent(torch.linspace(-1, 1, 20001))
    assert read(Latent(), Look(1, [weight]))["near_zero"] == pytest.approx(0.05, abs=1e-3)  # 0.1 * mean |w| = 0.05


@pytest.mark.parametrize("instrument", [Latent, LatentMagnitudes, Quantization])
def test_weights_that_are_signs_themselves_have_no_latent_measures(instrument: Any) -> None:
    assert read(instrument(), Look(1, [latent([1.0, -1.0], latent_free=True)])) == {}


@pytest.mark.parametrize(
    ("filters", "errors"),
    [
        ([[2.0, -2.0, 2.0, 2.0]], [0.0]),
        ([[1.0, 0.0, 0.0, 0.0]], [0.75]),
        ([[3.0, 4.0], [0.0, 0.0]], [1 - 49 / 50, 0.0]),
    ],
)
def test_quantization_error_is_that_of_the_best_scale(filters: list[list[float]], errors: list[float]) -> None:
    weight = torch.tensor(filters)
    assert quantization_error(weight).tolist() == pytest.approx(errors, abs=1e-6)
    scale = weight.abs().mean(1, keepdim=True)
    direct = (weight - scale * binarize(weight)).square().sum(1) / weight.square().sum(1).clamp(min=1e-9)
    assert quantization_error(weight).tolist() == pytest.approx(direct.tolist(), abs=1e-6)


def test_quantization_error_of_normal_weights_is_one_minus_two_over_pi() -> None:
    weight = torch.randn(1, 200_000, generator=torch.Generator().manual_seed(0))
    assert quantization_error(weight).item() == pytest.approx(1 - 2 / math.pi, abs=5e-3)


def test_a_histogram_counts_everything_once() -> None:
    counts = histogram(torch.tensor([-9.0, -1.0, -0.1, 0.0, 0.99, 1.0, 9.0, math.nan]), -1, 1, 4)
    assert counts.tolist() == [3, 1, 1, 3]
