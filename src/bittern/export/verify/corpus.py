"""Images that find faults: of every kind that a network may meet, made of nothing, the same in every run."""

from collections.abc import Callable
from functools import reduce

import numpy as np

_SMOOTH_WAVES = 3

NORMAL, SMOOTH, PIXELS, TINY, CONSTANT, ZEROS = "normal", "smooth", "0 to 255", "tiny", "constant", "zero"
_Shape = tuple[int, ...]


def _smooth(random: np.random.Generator, shape: _Shape, _: int) -> np.ndarray:
    """In [0, 1], without edges, as photographs are for the most part."""
    total = np.zeros(shape)
    for _ in range(_SMOOTH_WAVES):
        turns, phases = random.uniform(0.25, 2, len(shape)), random.uniform(0, 1, len(shape))
        angles = (
            2 * np.pi * (turn * np.linspace(0, 1, size) + phase)
            for turn, phase, size in zip(turns, phases, shape, strict=True)
        )
        waves = (0.5 + 0.5 * np.cos(angle) for angle in angles)
        total += reduce(np.multiply.outer, waves, np.ones(()))
    return total / _SMOOTH_WAVES


KINDS: dict[str, Callable[[np.random.Generator, _Shape, int], np.ndarray]] = {
    NORMAL: lambda random, shape, _: random.standard_normal(shape),
    SMOOTH: _smooth,
    PIXELS: lambda random, shape, _: random.integers(0, 256, shape),
    TINY: lambda random, shape, _: random.standard_normal(shape) * 1e-6,
    CONSTANT: lambda random, shape, number: np.full(shape, number + 0.5),
    ZEROS: lambda random, shape, _: np.zeros(shape),
}
"""Kind -> an image of a shape; ``number`` tells it from others of its kind.

Zeros lie on the threshold of signs; a constant image has no variance to divide by; pixels that nobody preprocessed are
where sums are large, and tiny values where what is added to a divisor decides.
"""


def images(kind: str, count: int, shape: _Shape, position: int = 0) -> np.ndarray:
    """``count`` images of one kind, float32 ``[count, *shape]``; the first ones are the same for every count.

    ``position``: of the input; several do not get the same.
    """
    seed = [list(KINDS).index(kind), *([position] if position else [])]
    made = [KINDS[kind](np.random.default_rng([*seed, i]), shape, i) for i in range(count)]
    return np.stack(made).astype(np.float32)


def mixed(count: int, shape: _Shape) -> tuple[np.ndarray, tuple[str, ...]]:
    """``count`` images of all kinds in turn, and the kind of each."""
    each = {kind: images(kind, -(-count // len(KINDS)), shape) for kind in KINDS}
    order = [(kind, i // len(KINDS)) for i, kind in enumerate((list(KINDS) * (count // len(KINDS) + 1))[:count])]
    return np.stack([each[kind][i] for kind, i in order]), tuple(kind for kind, _ in order)
