"""Flips: which binary weights change their sign from one step to the next."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bittern.optim.groups import LATENT_WEIGHTS, declared_parameters


class FlipCounter:
    """Compares the signs of ``weights``, tensors of any shape, with those at the last ``update``.

    ``rate()`` is the flip-flop ratio of Liu et al. 2021, AdamBNN, arXiv:2106.11309, eq. 4 and 5, averaged over the
    updates since ``reset``::

        FF_t = sum_w |sign(w_t) - sign(w_{t-1})| / 2 / number of weights

    Args:
        around_means: those of ``weights`` whose signs are taken around the mean of each filter.

    Attributes:
        flipped: for each weight, a bool tensor of its shape: what the last ``update`` saw flip. The next one overwrites
            it.
    """

    def __init__(self, weights: Sequence[Tensor], around_means: Sequence[Tensor] = ()) -> None:
        self._weights = list(weights)
        self._centred = [any(w is other for other in around_means) for w in weights]
        self._total = sum(w.numel() for w in self._weights)
        self._signs = [self._before_sign(i) < 0 for i in range(len(self._weights))]
        self._new_signs = [torch.empty_like(sign) for sign in self._signs]
        self.flipped = [torch.zeros_like(sign) for sign in self._signs]
        self.reset()

    def reset(self) -> None:
        self._flips: Tensor | int = 0
        self._updates = 0

    @torch.no_grad()
    def update(self) -> Tensor:
        """Compares with the weights as they are now; nothing waits for a GPU.

        Returns:
            The number of flips of each weight, int64 [len(weights)], on the weights' device.
        """
        for i, flipped in enumerate(self.flipped):
            before, now = self._signs[i], self._new_signs[i]
            torch.lt(self._before_sign(i), 0, out=now)
            torch.ne(now, before, out=flipped)
            self._signs[i], self._new_signs[i] = now, before
        counts = torch.stack([flipped.sum() for flipped in self.flipped]) if self.flipped else torch.zeros(0).long()
        self._flips = self._flips + counts.sum()
        self._updates += 1
        return counts

    def _before_sign(self, i: int) -> Tensor:
        weight = self._weights[i]
        return centred(weight) if self._centred[i] else weight

    def rate(self) -> float | None:
        """Share of the weights that flip in a step, 0..1; None without weights or updates."""
        if not self._total or not self._updates:
            return None
        return int(self._flips) / self._updates / self._total

    def state(self) -> tuple[int, int]:
        """Flips and updates since ``reset``, for a checkpoint."""
        return int(self._flips), self._updates

    def restore(self, state: tuple[int, int]) -> None:
        self._flips, self._updates = state


def centred(weight: Tensor) -> Tensor:
    """``weight`` [O, ...] minus the mean of each filter."""
    return weight - weight.mean(list(range(1, weight.dim())), keepdim=True)


def centred_weights(model: nn.Module) -> list[nn.Parameter]:
    """The latent weights of the layers that take the sign of ``centred(weight)``."""
    declared = declared_parameters(model, LATENT_WEIGHTS)
    return [parameter for _, module, _, parameter in declared if centres_weights(module)]


def centres_weights(module: nn.Module) -> bool:
    """Whether ``module`` subtracts each filter's mean before the sign (``weight_transform`` of ``bittern.nn``)."""
    return bool(getattr(module, "weight_transform", "none") != "none")
