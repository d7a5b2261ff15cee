"""Flips: which signs change, how often, and whether they change back."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bittern.optim.flips import FlipCounter
from bittern.study.instruments.base import Instrument, Measure, Readings, State, pack_bits, unpack_bits
from bittern.study.look import Look

_FLOOR = math.exp(-9)
_MAX_COUNT = 128
"""Flips of a weight are counted up to this; ``fold`` must be called at least every 255 - _MAX_COUNT steps."""
FOLD_EVERY = 64
PERIOD = 100
"""Steps over which oscillation is counted, however far apart the samples are."""


def flip_rate(ff: float | npt.NDArray[np.floating]) -> Any:
    """pi_t = ln(flipped / total + e^-9), which is -9 where nothing flips.

    Helwegen et al. 2019, Bop, arXiv:1906.02107, eq. 7.
    """
    return np.log(np.asarray(ff) + _FLOOR)


class Flips(Instrument):
    """Flip-flop ratio: the share of signs that a step changes; for every step, of all weights and of the last layer::

        FF_t = sum_w |sign(w_t) - sign(w_{t-1})| / 2 / #w

    Per layer its mean since the last sample. ``oscillating``: weights that flipped at least twice, and so came back,
    in the last ``PERIOD`` steps that end at a multiple of it. ``silent``: weights that never flipped since the stage
    began.
    """

    name = "flips"
    source = (
        "FF: Liu et al. 2021, AdamBNN, arXiv:2106.11309, eq. 4-5; oscillation: Nagel et al. 2022, arXiv:2203.11086; "
        "silent weights: Xiang et al. 2024, OvSW, arXiv:2407.05257"
    )
    measures = (
        Measure("ff", "FF_t = sum_w |sign(w_t) - sign(w_(t-1))| / 2 / #w, mean over steps"),
        Measure("oscillating", f"#{{w: 2 flips or more in {PERIOD} steps}} / #w"),
        Measure("silent", "#{w: no flip since the stage began} / #w"),
    )

    def begin(self, look: Look, state: Mapping[str, Any]) -> None:
        parameters = [weight.parameter for weight in look.weights]
        self._counter = FlipCounter(parameters, [weight.parameter for weight in look.weights if weight.centred])
        self._names = [weight.name for weight in look.weights]
        self._numels = [parameter.numel() for parameter in parameters]
        self._counts = [torch.zeros_like(flipped, dtype=torch.uint8) for flipped in self._counter.flipped]
        self._ever = [
            unpack_bits(state[name], flipped) if name in state else torch.zeros_like(flipped)
            for name, flipped in zip(self._names, self._counter.flipped, strict=True)
        ]
        self._rows: list[Tensor] = []
        self._since_sample: list[Tensor] = []
        self._began = look.step
        self._oscillating: dict[str, Tensor] = {}

    def every_step(self, look: Look) -> None:
        self._rows.append(self._counter.update())
        for counts, flipped in zip(self._counts, self._counter.flipped, strict=True):
            counts.add_(flipped.view(torch.uint8))
        if look.step % PERIOD == 0:
            self._end_period(look)

    def _end_period(self, look: Look) -> None:
        if look.step - self._began >= PERIOD:
            shares = ((counts >= 2).float().mean() for counts in self._counts)
            self._oscillating = dict(zip(self._names, shares, strict=True))
        self._merge()
        for counts in self._counts:
            counts.zero_()

    def _merge(self) -> None:
        for ever, counts in zip(self._ever, self._counts, strict=True):
            ever.logical_or_(counts > 0)

    def fold(self) -> npt.NDArray[np.float64]:
        """FF of the steps since the last ``fold``: [steps, 2], of all weights and of the last layer's."""
        for counts in self._counts:
            counts.clamp_(max=_MAX_COUNT)
        if not self._rows:
            return np.zeros((0, 2))
        rows = torch.stack(self._rows)
        self._since_sample.append(rows)
        self._rows = []
        flips = rows.cpu().numpy().astype(np.float64)
        return np.stack((flips.sum(1) / sum(self._numels), flips[:, -1] / self._numels[-1]), 1)

    def read(self, look: Look, snapshot: bool) -> Readings:
        """Call ``fold`` first."""
        readings: Readings = {}
        if self._since_sample:
            means = torch.cat(self._since_sample).float().mean(0)
            readings["ff"] = {name: means[i] / self._numels[i] for i, name in enumerate(self._names)}
            self._since_sample = []
        if snapshot:
            self._merge()
            readings["silent"] = {name: 1 - self._ever[i].float().mean() for i, name in enumerate(self._names)}
        readings["oscillating"], self._oscillating = self._oscillating, {}
        return readings

    def state(self) -> State:
        self._merge()
        return {name: pack_bits(ever) for name, ever in zip(self._names, self._ever, strict=True)}
