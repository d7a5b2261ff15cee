"""Flips: how many binary weights changed their sign."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bittern.nn.weights import centred
from bittern.optim.groups import LATENT_WEIGHTS, declared_parameters


class FlipCounter:
    """Counts the signs of ``weights`` that differ from those at the last ``update``.

    ``rate()`` is the flip-flop ratio of Liu et al. 2021, AdamBNN, arXiv:2106.11309, eq. 4 and 5, averaged over the
    updates since ``reset``::

        FF_t = sum_w |sign(w_t) - sign(w_{t-1})| / 2 / number of weights

    Args:
        around_means: those of ``weights`` whose signs are taken around the mean of each filter.
    """

    def __init__(self, weights: Sequence[Tensor], around_means: Sequence[Tensor] = ()) -> None:
        self._weights = [w.detach() for w in weights]
        self._centred = [any(w is other for other in around_means) for w in weights]
        self._total = sum(w.numel() for w in self._weights)
        self._signs = [self._before_sign(i) < 0 for i in range(len(self._weights))]
        self.reset()

    def reset(self) -> None:
        self._flips: Tensor | int = 0
        self._updates = 0

    @torch.no_grad()
    def update(self) -> None:
        """Compares with the weights as they are now; nothing waits for a GPU."""
        for i, before in enumerate(self._signs):
            changed = torch.lt(self._before_sign(i), 0).logical_xor_(before)
            before.logical_xor_(changed)
            self._flips = self._flips + changed.sum()
        self._updates += 1

    def _before_sign(self, i: int) -> Tensor:
        weight = self._weights[i]
        return centred(weight) if self._centred[i] else weight

    def rate(self) -> float | None:
        """Share of the weights that flip in a step, 0..1; None without weights or updates."""
        if not self._total or not self._updates:
            return None
        return self._count() / self._updates / self._total

    def state(self) -> tuple[int, int]:
        """Flips and updates since ``reset``, for a checkpoint."""
        return self._count(), self._updates

    def _count(self) -> int:
        # Weights that are shared out over processes (torch.distributed.tensor.DTensor): all must ask together.
        return int(self._flips.full_tensor() if hasattr(self._flips, "full_tensor") else self._flips)

    def restore(self, state: tuple[int, int]) -> None:
        self._flips, self._updates = state


def centred_weights(model: nn.Module) -> list[nn.Parameter]:
    """The weights of the layers that take the mean of each filter off before the sign (``weight_transform``)."""
    return [
        parameter
        for _, module, _, parameter in declared_parameters(model, LATENT_WEIGHTS)
        if getattr(module, "weight_transform", "none") != "none"
    ]
