"""Which images make up a batch. `hypothesis` draws the sizes."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bittern.data import DataError, Split
from bittern.data.order import batches, evenly

COUNTS, SIZES, WORLDS, SEEDS = st.integers(1, 60), st.integers(1, 9), st.integers(1, 4), st.integers(0, 2**63 - 1)


@given(COUNTS, SIZES, WORLDS, SEEDS, st.booleans(), st.booleans())
def test_ranks_see_together_what_one_process_sees_in_large_batches(
    count: int, size: int, world: int, seed: int, shuffle: bool, drop_last: bool
) -> None:
    if drop_last and count < size * world:
        return
    how = {"seed": seed, "shuffle": shuffle, "drop_last": drop_last}
    one = batches(count, batch_size=size * world, **how)
    many = [batches(count, batch_size=size, rank=rank, world=world, **how) for rank in range(world)]
    for number, together in enumerate(one):
        parts = [rank[number] for rank in many if number < len(rank)]
        assert torch.cat(parts).tolist() == together.tolist()
    assert len(one) == max(map(len, many))
    if drop_last:
        assert {len(batch) for rank in many for batch in rank} == {size}
        assert len({len(rank) for rank in many}) == 1


@given(COUNTS, SIZES, WORLDS, SEEDS, st.booleans())
def test_no_image_comes_twice_and_without_dropping_each_comes_once(
    count: int, size: int, world: int, seed: int, shuffle: bool
) -> None:
    def seen(drop_last: bool) -> list[int]:
        ranks = range(world)
        how = {"batch_size": size, "seed": seed, "world": world, "shuffle": shuffle, "drop_last": drop_last}
        return [i for rank in ranks for batch in batches(count, rank=rank, **how) for i in batch.tolist()]

    assert sorted(seen(False)) == list(range(count))
    if count >= size * world:
        dropped = seen(True)
        assert len(set(dropped)) == len(dropped) == count // (size * world) * size * world


@given(COUNTS, SIZES, st.integers(0, 12), SEEDS, st.booleans())
def test_a_start_leaves_out_the_first_batches(count: int, size: int, start: int, seed: int, drop_last: bool) -> None:
    if drop_last and count < size:
        return
    every = batches(count, batch_size=size, seed=seed, drop_last=drop_last)
    rest = batches(count, batch_size=size, seed=seed, drop_last=drop_last, start=start)
    assert [b.tolist() for b in rest] == [b.tolist() for b in every[start:]]


def test_the_order_is_the_permutation_of_the_seed() -> None:
    """Earlier runs used this order: if it changes, they cannot be repeated."""
    expected = torch.randperm(10, generator=torch.Generator().manual_seed(5)).tolist()
    assert [i for batch in batches(10, batch_size=5, seed=5) for i in batch.tolist()] == expected
    assert expected == [1, 4, 9, 6, 3, 5, 0, 2, 8, 7]
    assert batches(10, batch_size=5, seed=0, shuffle=False)[1].tolist() == [5, 6, 7, 8, 9]


def test_the_global_generator_is_left_alone() -> None:
    state = torch.get_rng_state()
    batches(10, batch_size=5, seed=5)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"rank": 2, "world": 2}, r"rank must be 0\.\.world-1, got 2 of 2"),
        ({"rank": -1}, r"rank must be 0\.\.world-1, got -1 of 1"),
        ({"start": -1}, "start must be at least 0, got -1"),
    ],
)
def test_impossible_arguments_are_refused_before_the_first_batch(wrong: dict[str, int], message: str) -> None:
    split = Split(torch.zeros(9, 1, 2, 2, dtype=torch.uint8), torch.arange(9))
    with pytest.raises(ValueError, match=message):
        split.epoch(**{"batch_size": 3, "seed": 0, **wrong})


def test_too_few_images_for_a_batch_are_refused() -> None:
    split = Split(torch.zeros(9, 1, 2, 2, dtype=torch.uint8), torch.arange(9))
    with pytest.raises(DataError, match=r"9 images do not fill a batch of 5 x 2 ranks; choose a smaller batch_size"):
        split.epoch(batch_size=5, seed=0, world=2)


@given(st.integers(1, 50), st.integers(1, 60))
def test_evenly_takes_what_is_there_in_equal_steps(count: int, most: int) -> None:
    chosen = evenly(count, most)
    assert len(chosen) == min(count, most)
    gaps = {b - a for a, b in pairwise(chosen)}
    assert not gaps or max(gaps) - min(gaps) <= 1
    assert 0 <= min(chosen) <= max(chosen) < count
