"""The toy problems show what the papers say that they show."""

import numpy as np
import pytest

from bittern.study.toys import START, counterexample, node_gradient, two_nodes


@pytest.mark.parametrize(
    ("point", "gradient"),
    [((0, 0), (1, 1)), ((1, -1), (1, 1)), ((0, 2), (1, 0)), ((-2, 0.5), (0, 1)), ((3, 3), (0, 0))],
)
def test_the_estimator_passes_a_gradient_only_inside_the_clip(
    point: tuple[float, float], gradient: tuple[float, float]
) -> None:
    assert node_gradient(*point, (0.0, 0.0)) == gradient


def test_the_surface_is_what_the_estimator_descends() -> None:
    toy = two_nodes(steps=1)
    assert toy.surface.min() == -2
    assert toy.surface.max() == 2
    assert toy.surface[np.abs(toy.y).argmin(), np.abs(toy.x).argmin()] == pytest.approx(0)
    assert toy.surface.shape == (len(toy.y), len(toy.x))


@pytest.mark.parametrize("seed", range(8))
def test_rare_gradients_carry_adam_further_than_sgd(seed: int) -> None:
    toy = two_nodes(seed=seed)
    assert all(tuple(path[0]) == START for path in toy.paths.values())
    assert toy.paths["Adam"][-1, 1] < toy.paths["SGD"][-1, 1] - 1


def test_adam_crosses_zero_as_often_as_is_said() -> None:
    ends = [{name: path[-1, 1] for name, path in two_nodes(seed=seed).paths.items()} for seed in range(8)]
    assert sum(end["Adam"] < 0 for end in ends) == 7
    assert sum(end["SGD"] < 0 for end in ends) == 1


def test_adam_crosses_zero_where_sgd_does_not() -> None:
    toy = two_nodes()
    assert toy.paths["SGD"][-1, 1] > 0.5
    assert toy.paths["Adam"][-1, 1] < -0.5


@pytest.mark.parametrize("start", [1.0, 0.0, -1.0])
def test_adam_ends_at_the_worst_point_and_the_others_do_not(start: float) -> None:
    toy = counterexample(steps=1500, start=start)
    assert toy.weights["Adam"][-1] == 1
    assert toy.regret["Adam"] == pytest.approx(2 / 3, abs=1e-2)  # 2 (C - 2) / 3
    for name in ("SGD", "AMSGrad", "Bop"):
        assert toy.weights[name][-1] < -0.9
        assert toy.regret[name] < 0.02
    assert all(np.abs(path).max() <= 1 for path in toy.weights.values())
