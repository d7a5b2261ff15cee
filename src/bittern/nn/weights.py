"""From latent to binary weights: signs, signs around each filter's mean, or two values per filter."""

from typing import Literal, get_args

from torch import Tensor

from bittern.ops.binarize import binarize

WeightTransform = Literal["none", "balanced", "adabin"]
WEIGHT_TRANSFORMS: tuple[str, ...] = get_args(WeightTransform)

_MIN_SPREAD = 1e-5
"""For a filter of equal weights: its standardized weights are 0 and their gradient is finite."""


def check_weight_transform(transform: str, scale: str, weights: int) -> None:
    """ValueError unless ``transform`` is known and fits ``scale`` and the number of ``weights`` in a filter."""
    if transform not in WEIGHT_TRANSFORMS:
        known = ", ".join(map(repr, WEIGHT_TRANSFORMS))
        raise ValueError(f"weight_transform must be one of {known}, got {transform!r}")
    if transform != "none" and weights < 2:
        raise ValueError(
            f"weight_transform {transform!r} needs filters of at least 2 weights, got {weights}; use 'none'"
        )
    if transform == "adabin" and scale not in ("none", "learned"):
        raise ValueError(
            f"weight_transform 'adabin' has its own magnitude: scale must be 'none' or 'learned', got {scale!r}"
        )


def standardize(weight: Tensor, correction: int) -> tuple[Tensor, Tensor, Tensor]:
    """``(W - mean) / spread`` [O, ...], ``spread`` and ``mean`` [O, 1 ...] of each filter; all three differentiable.

    ``spread`` is the standard deviation, over n - ``correction`` weights.
    """
    dims = list(range(1, weight.dim()))
    mean = weight.mean(dims, keepdim=True)
    spread = weight.std(dims, correction=correction, keepdim=True).clamp_min(_MIN_SPREAD)
    return (weight - mean) / spread, spread, mean


def binary_weight(weight: Tensor, transform: str, estimator: str, progress: Tensor | None) -> tuple[Tensor, Tensor]:
    """The weights that a layer multiplies by, and the real ones that were binarized, both [O, ...] like ``weight``::

        none       sign(W)
        balanced   sign(V),                        V = (W - mean) / std, n - 1 in the denominator
        adabin     std * sign(V) + mean,           V = (W - mean) / std, n in the denominator

    with mean and std of each filter, and gradients through all of them. ``balanced``: Qin et al. 2020, IR-Net,
    arXiv:1909.10788, Libra-PB. ``adabin``: Tu et al. 2022, AdaBin, arXiv:2208.08084, section 3.2.
    """
    if transform == "none":
        return binarize(weight, estimator, progress), weight
    real, spread, mean = standardize(weight, correction=1 if transform == "balanced" else 0)
    signs = binarize(real, estimator, progress)
    return (signs if transform == "balanced" else signs * spread + mean), real
