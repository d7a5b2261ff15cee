"""Every output form of conv2d equals the PyTorch reference over whole grids of shapes, for every instruction set."""

import os
import random
from collections.abc import Iterator

import pytest

from native.emulated import Emulated
from native.sanitized import Call, Native

torch = pytest.importorskip("torch")
from native import grid  # noqa: E402  (needs torch)

PARTS = 9  # so that a failure shows early

# A geometry counts if the padded image holds its dilated window. These figures are also those of docs/testing.md.
SIZES = {"big": 4536, "odd": 2550, "large": 96, "deep": 864}


@pytest.fixture(scope="module", autouse=True)
def one_torch_thread() -> Iterator[None]:
    """The maps are too small for two threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def geometries() -> dict[str, list[grid.Geometry]]:
    return {name: [geometry for geometry in make() if geometry.fits] for name, make in grid.GRIDS.items()}


def test_the_grids_are_as_large_as_they_say(geometries: dict[str, list[grid.Geometry]]) -> None:
    assert {name: len(found) for name, found in geometries.items()} == SIZES
    names = [geometry.name for found in geometries.values() for geometry in found]
    assert len(set(names)) == len(names)
    assert SIZES["big"] * grid.COMBINATIONS >= 27_216  # for each output form and each instruction set


def step(native: Native, name: str) -> int:
    """One in ``step`` geometries is compared: all on this machine; in an emulator, which is slow, the big grid and
    a part of the others. The portable kernels are the same source there, so a few suffice."""
    if not isinstance(native, Emulated):
        return 1
    if native.isa == "portable":
        return 10
    return 1 if name == "big" else 4


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("name", SIZES)
def test_the_whole_grid(native: Native, geometries: dict[str, list[grid.Geometry]], name: str, part: int) -> None:
    every = step(native, name)
    expected = len(range(part, SIZES[name], PARTS)[::every]) * grid.COMBINATIONS * len(grid.FORMS)
    assert expected > 0
    assert grid.compare(native, geometries[name][part::PARTS][::every]) == expected


def test_a_sample_of_the_grid(native: Native, geometries: dict[str, list[grid.Geometry]]) -> None:
    chance = random.Random("a sample of the grid")
    chosen = [chance.sample(geometries[name], count) for name, count in {"big": 150, "odd": 110, "large": 4}.items()]
    expected = 264 * grid.COMBINATIONS * len(grid.FORMS)
    assert grid.compare(native, [geometry for part in chosen for geometry in part]) == expected


def test_a_combination_alone(native: Native) -> None:
    """GRID=NAME runs the combination or the geometry of that name."""
    name = os.environ.get(
        "GRID", "3x8x5x64-3x3x36-groups2-stride2x3-dilation3x2-unevenminus-all-threads2-conv2d_packed"
    )
    assert grid.only(native, name) >= 1


def test_a_wrong_result_is_reported_by_name(native: Native) -> None:
    """The tests above rely on this."""

    class Wrong:
        def operators(self, calls: list[Call]) -> object:
            answers = native.operators(calls)
            answers[5][0].reshape(-1)[-1] += 1
            return answers

    geometry = next(grid.odd_grid())
    with pytest.raises(AssertionError, match=rf"{geometry.name}-none-threads2-conv2d_packed .*1 of 120 values differ"):
        grid.compare(Wrong(), [geometry])  # type: ignore[arg-type]
