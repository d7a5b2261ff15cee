"""Random numbers for every tensor of a network, and the files of a fixture; shared by the generators, needs numpy only.

Kernels have few different values, so that a fixture is small when compressed; everything else is drawn from intervals,
so that no sum falls on a threshold exactly.
"""

import lzma
from pathlib import Path

import numpy as np

EIGHTHS = 8
"""Inputs are stored as int8, in eighths."""

STABLE = 1e-5
"""Largest relative change of logits by noise of 1e-6, which is far above rounding: then no sign is near a threshold."""


def draw(kind: str, shape, rng):
    """float32: ``signs`` for weights to be binarized, ``kernel`` for real ones, and what BatchNorm and others have."""
    match kind:
        case "signs":
            values = rng.choice(np.array([-1.5, -0.5, 0.5, 1.5]), shape)
        case "kernel":
            scale = 2.0 ** -np.round(np.log2(np.prod(shape) / max(shape)) / 2)  # a power of two: sums stay exact
            values = rng.integers(-2, 3, shape) * scale
        case "factor":
            values = rng.uniform(0.5, 1.5, shape) * rng.choice([-1, 1, 1, 1], shape)
        case "variance":
            values = rng.uniform(0.5, 2.0, shape)
        case "slope":
            values = rng.uniform(-0.2, 0.5, shape)
        case "shift":
            values = rng.normal(0.0, 0.3, shape)
        case _:
            raise ValueError(kind)
    return np.asarray(values, np.float32)


def draw_image(size: int, rng):
    """int8 [size, size, 3], in eighths."""
    return rng.integers(-16, 17, (size, size, 3)).astype(np.int8)


def noisy(values, rng):
    return (values * (1 + 1e-6 * rng.uniform(-1, 1, values.shape))).astype(np.float32)


def is_stable(logits, others) -> bool:
    """Whether ``others``, computed with noise, are ``logits``."""
    return all(np.abs(other - logits).max() < STABLE * np.abs(logits).max() for other in others)


def write(folder: Path, name: str, checkpoint: Path, image, logits, **facts) -> None:
    """``checkpoint``, which has the source's suffix, packed; and the input with the logits that the source gives."""
    folder.mkdir(parents=True, exist_ok=True)
    packed = lzma.compress(checkpoint.read_bytes(), preset=9 if checkpoint.stat().st_size < 10**7 else 0)
    (folder / f"{name}{checkpoint.suffix}.xz").write_bytes(packed)
    np.savez_compressed(folder / f"{name}.npz", image=image, logits=logits.astype(np.float32), **facts)
    print(
        f"{name}: {checkpoint.stat().st_size:,} bytes, {len(packed):,} packed; logits up to {np.abs(logits).max():.3g}"
    )
