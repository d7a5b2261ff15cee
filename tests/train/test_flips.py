"""Flips are counted as AdamBNN's equations 4 and 5 say."""

import pytest
import torch

from bittern.train.flips import FlipCounter


def test_the_rate_is_the_mean_share_of_weights_that_changed_sign() -> None:
    a, b = torch.ones(6), -torch.ones(2, 2)
    counter = FlipCounter([a, b])
    assert counter.rate() is None
    a[:3] = -0.5
    counter.update()
    assert counter.rate() == pytest.approx(3 / 10)
    b[0, 0], a[0] = 2.0, 1.0
    counter.update()
    assert counter.rate() == pytest.approx((3 + 2) / 2 / 10)
    counter.reset()
    counter.update()
    assert counter.rate() == 0.0


def test_zero_counts_as_plus_one_as_in_binarize() -> None:
    weight = torch.ones(2)
    counter = FlipCounter([weight])
    weight.copy_(torch.tensor([0.0, -0.0]))
    counter.update()
    assert counter.rate() == 0.0


def test_the_state_goes_on_where_it_stood() -> None:
    weight = torch.ones(4)
    counter = FlipCounter([weight])
    weight.neg_()
    counter.update()
    other = FlipCounter([weight])
    other.restore(counter.state())
    other.update()
    assert other.rate() == pytest.approx(0.5)


def test_without_weights_there_is_no_rate() -> None:
    counter = FlipCounter([])
    counter.update()
    assert counter.rate() is None
