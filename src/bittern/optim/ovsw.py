"""Overcoming silent weights: two changes of the gradients of latent weights that hardly ever change their sign.

Xiang et al. 2024, OvSW: Overcoming Silent Weights for Accurate Binary Neural Networks, arXiv:2407.05257.
"""

import torch
from torch import Tensor

MIN_GRADIENT, MIN_WEIGHT = 1e-6, 1e-3
"""Lower bounds of the norms of a filter's gradient and weights in the ratio."""


def scale_gradient_(grad: Tensor, weight: Tensor, delta: float) -> None:
    """Adaptive gradient scaling: g_o <- g_o * max(1, delta |w_o| / |g_o|) for each filter o (Frobenius norms).

    Filters are what dimension 0 counts; a tensor of fewer than two dimensions is one filter.
    """
    inner = tuple(range(1 if grad.dim() > 1 else 0, grad.dim()))
    size = torch.linalg.vector_norm(grad, dim=inner, keepdim=True).clamp_min_(MIN_GRADIENT)
    target = torch.linalg.vector_norm(weight, dim=inner, keepdim=True).clamp_min_(MIN_WEIGHT).mul_(delta)
    grad.mul_((target / size).clamp_min_(1))


def decay_silent_(grad: Tensor, weight: Tensor, flip_rate: Tensor | None, strength: float, threshold: float) -> None:
    """Silence awareness decay: g <- g + strength * w where flip_rate < threshold; no rate yet counts as 0."""
    if flip_rate is None:
        grad.add_(weight, alpha=strength * (threshold > 0))
    else:
        grad.addcmul_(weight, (flip_rate < threshold).to(weight.dtype), value=strength)


def track_flips_(flip_rate: Tensor, was_negative: Tensor, weight: Tensor, momentum: float) -> None:
    """rate <- momentum * rate + (1 - momentum) * [the sign changed]."""
    flip_rate.mul_(momentum).add_(was_negative ^ (weight < 0), alpha=1 - momentum)
