"""Each instrument on a case whose value is known in closed form."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bittern.nn import BinaryLinear
from bittern.nn.weights import WEIGHT_TRANSFORMS, binary_weight
from bittern.ops import binarize
from bittern.study import (
    agreement,
    c2i,
    flip_rate,
    get_instrument,
    latent_weights,
    list_instruments,
    quantization_error,
)
from bittern.study.instruments import INSTRUMENTS
from bittern.study.instruments.channels import Channels
from bittern.study.instruments.dead_weights import DeadWeights
from bittern.study.instruments.flips import Correlation, Flips, packed, unpacked
from bittern.study.instruments.latent import Latent
from bittern.study.instruments.magnitudes import Gradients, LatentMagnitudes, Moments, Updates, cam, sdam
from bittern.study.instruments.mismatch import Mismatch
from bittern.study.instruments.quantization import Quantization
from bittern.study.instruments.saturation import Saturation
from bittern.study.layers import LatentWeight
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


def flipping(weights: list[LatentWeight], sequence: list[list[Tensor]]) -> tuple[Flips, list[np.ndarray[Any, Any]]]:
    instrument = Flips()
    instrument.begin(Look(0, weights), {})
    rows = []
    for step, values in enumerate(sequence, 1):
        for weight, value in zip(weights, values, strict=True):
            weight.parameter.data.copy_(value)
        instrument.every_step(Look(step, weights))
        rows.append(instrument.fold()[0])
    return instrument, rows


def test_ff_counts_signs_that_change_in_a_step() -> None:
    weights = [latent([1.0, 1.0, 1.0], "a"), latent([-1.0], "b")]
    sequence = [
        [torch.tensor([-1.0, 1.0, 1.0]), torch.tensor([-1.0])],  # 1 of 4
        [torch.tensor([1.0, 0.0, -0.1]), torch.tensor([1.0])],  # back, not (0 is +1), yes, yes
        [torch.tensor([1.0, 1.0, -0.2]), torch.tensor([1.0])],  # none
    ]
    instrument, rows = flipping(weights, sequence)
    assert [list(row) for row in rows] == [[1 / 4, 0.0], [3 / 4, 1.0], [0.0, 0.0]]
    with torch.no_grad():
        values = instrument.read(Look(3, weights), True)
    assert values["ff"]["a"].item() == pytest.approx((1 + 2 + 0) / 3 / 3)
    assert values["silent"]["a"].item() == pytest.approx(1 / 3)
    assert values["silent"]["b"].item() == 0.0
    with torch.no_grad():
        later = instrument.read(Look(4, weights), True)
    assert later["silent"]["a"].item() == pytest.approx(1 / 3)  # but what has flipped stays so


def test_a_weight_that_flips_at_every_step_does_not_wrap_its_counter() -> None:
    weight = latent([1.0])
    instrument, rows = flipping([weight], [[torch.tensor([-1.0 if step % 2 == 0 else 1.0])] for step in range(512)])
    assert all(row[0] == 1.0 for row in rows)
    assert read(instrument, Look(512, [weight]))["oscillating"] == 1.0


def balanced(values: list[float]) -> LatentWeight:
    layer = BinaryLinear(len(values), 1, weight_transform="balanced")
    layer.weight.data.copy_(torch.tensor([values]))
    (weight,) = latent_weights(layer)
    return weight


def test_moving_a_whole_filter_flips_nothing_where_its_mean_is_taken_off() -> None:
    weight = balanced([0.5, 0.25, -0.25, -0.5])
    reference = {"other": {weight.name: weight.parameter.detach() + 3}}
    correlation, quantization = Correlation(reference), Quantization()
    correlation.begin(Look(0, [weight]), {})
    before = {**read(Latent(), Look(0, [weight])), **read(quantization, Look(0, [weight]))}
    _, rows = flipping([weight], [[weight.parameter.detach() + 1]])
    assert rows[0].tolist() == [0.0, 0.0]
    assert read(correlation, Look(1, [weight])) == {"c2i": 1.0, "c2i_stage": 1.0, "c2i_other": 1.0}
    after = {**read(Latent(), Look(1, [weight])), **read(quantization, Look(1, [weight]))}
    assert after == before
    assert "beyond_one" not in after


@pytest.mark.parametrize("transform", WEIGHT_TRANSFORMS)
def test_flips_are_of_the_signs_that_the_layer_computes_with(transform: str) -> None:
    torch.manual_seed(0)
    layer = BinaryLinear(16, 4, weight_transform=transform)  # type: ignore[arg-type]
    weights = latent_weights(layer)
    start, moved = layer.weight.detach().clone(), layer.weight.detach() + 0.1 * torch.randn(4, 16)
    _, rows = flipping(weights, [[moved]])
    before, after = (binary_weight(w, transform, "ste", None)[1] < 0 for w in (start, moved))
    assert rows[0][0] == pytest.approx((before != after).float().mean().item())


def test_oscillation_is_counted_over_a_fixed_number_of_steps() -> None:
    weight = latent(torch.ones(4))
    instrument = Flips()
    instrument.begin(Look(0, [weight]), {})
    flips = {10: [0, 1], 20: [0], 95: [2], 105: [2], 150: [0]}
    found = {}
    for step in range(1, 301):
        weight.parameter.data[flips.get(step, [])] *= -1
        instrument.every_step(Look(step, [weight]))
        if step % 64 == 0:
            instrument.fold()
        if step in (50, 130, 160, 250):  # whatever the distance of the readings
            found[step] = read(instrument, Look(step, [weight], window_ends=step == 50)).get("oscillating")
    assert found == {50: None, 130: 0.25, 160: None, 250: 0.0}  # the third flips once in each period


def test_a_period_that_a_run_was_resumed_in_is_not_judged() -> None:
    weight = latent([1.0])
    instrument = Flips()
    instrument.begin(Look(50, [weight]), {})
    for step in range(51, 101):
        instrument.every_step(Look(step, [weight]))
    assert "oscillating" not in read(instrument, Look(100, [weight]))


def test_what_has_flipped_is_in_the_state_at_any_step() -> None:
    weight = latent([1.0, 1.0])
    instrument, _ = flipping([weight], [[torch.tensor([-1.0, 1.0])]])
    resumed = Flips()
    resumed.begin(Look(1, [weight]), instrument.state())
    assert read(resumed, Look(1, [weight]))["silent"] == 0.5


def test_the_flip_rate_is_minus_nine_where_nothing_flips() -> None:
    assert flip_rate(0.0) == pytest.approx(-9)
    assert flip_rate(1.0) == pytest.approx(math.log(1 + math.exp(-9)))
    assert flip_rate(np.array([0.0, math.exp(-1)]))[1] == pytest.approx(-1, abs=1e-3)


def test_c2i_is_one_for_the_same_signs_zero_for_the_opposite_and_half_for_unrelated_ones() -> None:
    weight = latent(torch.ones(1000))
    start = {"other": {"layer": -torch.ones(1000)}}
    instrument = Correlation(start)
    instrument.begin(Look(0, [weight]), {})
    look = Look(1, [weight])
    assert read(instrument, look) == {"c2i": 1.0, "c2i_stage": 1.0, "c2i_other": 0.0}
    weight.parameter.data[:500] = -0.1
    assert read(instrument, look) == {"c2i": 0.5, "c2i_stage": 0.5, "c2i_other": 0.5}


def test_c2i_of_two_checkpoints_weighs_layers_by_their_size() -> None:
    before = {"a": torch.tensor([1.0, 1.0, 1.0]), "b": torch.tensor([1.0]), "gone": torch.zeros(1)}
    after = {"a": torch.tensor([1.0, -1.0, 0.0]), "b": torch.tensor([-1.0])}
    assert c2i(before, after) == 0.5
    assert math.isnan(c2i({}, after))


@pytest.mark.parametrize("size", [(1,), (8,), (3, 5), (2, 3, 3, 3)])
def test_signs_are_kept_as_bits(size: tuple[int, ...]) -> None:
    flags = torch.randn(size) < 0
    assert len(packed(flags)) == -(-flags.numel() // 8)
    assert torch.equal(unpacked(packed(flags), flags), flags)
    if len(size) == 4:
        assert torch.equal(unpacked(packed(flags.to(memory_format=torch.channels_last)), flags), flags)


def test_a_histogram_counts_everything_once() -> None:
    counts = histogram(torch.tensor([-9.0, -1.0, -0.1, 0.0, 0.99, 1.0, 9.0, math.nan]), -1, 1, 4)
    assert counts.tolist() == [3, 1, 1, 3]


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
