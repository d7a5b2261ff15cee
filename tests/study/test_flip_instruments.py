"""Flips, oscillation and correlation on sequences of weights that can be followed by hand."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bittern.nn import BinaryLinear
from bittern.nn.weights import WEIGHT_TRANSFORMS, binary_weight
from bittern.study import (
    c2i,
    flip_rate,
    latent_weights,
)
from bittern.study.instruments.base import pack_bits, unpack_bits
from bittern.study.instruments.correlation import Correlation
from bittern.study.instruments.flips import Flips
from bittern.study.instruments.latent import Latent
from bittern.study.instruments.quantization import Quantization
from bittern.study.layers import LatentWeight
from bittern.study.look import Look
from study.small import latent, read


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
    assert len(pack_bits(flags)) == -(-flags.numel() // 8)
    assert torch.equal(unpack_bits(pack_bits(flags), flags), flags)
    if len(size) == 4:
        assert torch.equal(unpack_bits(pack_bits(flags.to(memory_format=torch.channels_last)), flags), flags)
