"""Dead channels: signs that are the same whatever the image, and whether they come back."""

import warnings

import torch
from torch import Tensor, nn

from bittern.study.instruments.base import Instrument, Measure, Readings, revived
from bittern.study.look import Look

_MIN_SIGNS = 64
"""Fewer signs than these may all be +1 by chance."""


class Channels(Instrument):
    """Channels whose sign never changes over all images and positions seen in the sampled steps of a window.

    Such a channel carries no information. A channel is dimension 1 of an image or sequence, and the last dimension of
    the input of a linear layer.
    """

    name = "channels"
    source = "constant signs: Liu et al. 2021, AdamBNN, arXiv:2106.11309, section 3.2; the window is ours"
    measures = (
        Measure("dead_channels", "#{c: all signs of channel c equal} / #channels"),
        Measure("revived_channels", "#{c: dead in the window before, not now} / #{c: dead in the window before}"),
        Measure("positive_share", "#{signs of channel c = +1} / #{signs of channel c}", per="channel"),
    )
    observes = True

    def __init__(self) -> None:
        self._window: dict[str, Tensor] = {}
        self._dead: dict[str, Tensor] = {}
        self._checked: set[str] = set()

    def observe(self, module: nn.Module, x: Tensor, snapshot: bool) -> Tensor:
        last = isinstance(module, nn.Linear) or x.dim() < 3
        dimension = x.dim() - 1 if last else 1
        negative = (x < 0).sum([d for d in range(x.dim()) if d != dimension])
        return torch.cat((negative, negative.new_tensor([x.numel() // x.shape[dimension]])))

    def read(self, look: Look, snapshot: bool) -> Readings:
        for site, sums in look.sums(self.name).items():
            self._window[site] = self._window[site] + sums if site in self._window else sums
            if site not in self._checked:
                self._checked.add(site)
                _warn_if_constant(site, sums)
        if not look.window_ends:
            return {}
        readings: Readings = {measure.name: {} for measure in self.measures}
        for site, sums in self._window.items():
            negative, count = sums[:-1], sums[-1]
            dead = (negative == 0) | (negative == count)
            readings["dead_channels"][site] = dead.float().mean()
            readings["positive_share"][site] = 1 - negative / count
            if site in self._dead:
                readings["revived_channels"][site] = revived(self._dead[site], dead)
            self._dead[site] = dead
        self._window = {}
        return readings


def _warn_if_constant(site: str, sums: Tensor) -> None:
    """In the first sample, before hours are spent: not one sign of a layer is -1."""
    if sums[-1] * (len(sums) - 1) >= _MIN_SIGNS and not sums[:-1].any():
        warnings.warn(
            f"every sign that enters {site} is +1: what stands in front of it gives no negative values (ReLU, sigmoid, "
            "softmax, abs, max pooling of these), so the layer sees nothing of the image; binarize what comes before "
            "that, or put BatchNorm in between (docs/binary.md)",
            stacklevel=2,
        )
