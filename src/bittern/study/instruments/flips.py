"""Flips: which signs change, how often, and whether they change back."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bittern.study.instruments.base import Instrument, Measure, State, Values, each
from bittern.study.look import Look

_FLOOR = math.exp(-9)
_MANY = 128
"""Flips of a weight are counted up to here; ``fold`` must be called at least every 255 - _MANY steps."""
FOLD_EVERY = 64
PERIOD = 100
"""Steps over which oscillation is counted, whatever the samples' distance."""


def flip_rate(ff: float | npt.NDArray[np.floating]) -> Any:
    """pi_t = ln(flipped / total + e^-9), which is -9 where nothing flips.

    Helwegen et al. 2019, Bop, arXiv:1906.02107, eq. 7.
    """
    return np.log(np.asarray(ff) + _FLOOR)


class Flips(Instrument):
    """Flip-flop ratio: the share of signs that a step changes; total and of the last layer for every step::

        FF_t = sum_w |sign(w_t) - sign(w_{t-1})| / 2 / #w

    Per layer its mean since the last sample. ``oscillating``: weights that flipped at least twice, so came back, in the
    last ``PERIOD`` steps that end at a multiple of it; ``silent``: weights that never flipped since the stage began.
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
        weights = [weight.before_sign(look.value(weight)) for weight in look.weights]
        self._names = [weight.name for weight in look.weights]
        self._numels = [weight.numel() for weight in weights]
        self._before = [weight < 0 for weight in weights]
        self._now = [torch.empty_like(sign) for sign in self._before]
        self._flipped = [torch.empty_like(sign) for sign in self._before]
        self._counts = [torch.zeros_like(sign, dtype=torch.uint8) for sign in self._before]
        self._ever = [
            unpacked(state[weight.name], sign) if weight.name in state else torch.zeros_like(sign)
            for weight, sign in zip(look.weights, self._before, strict=True)
        ]
        self._rows: list[Tensor] = []
        self._since_sample: list[Tensor] = []
        self._began = look.step
        self._oscillating: dict[str, Tensor] = {}

    def every_step(self, look: Look) -> None:
        row = []
        for i, weight in enumerate(look.weights):
            now, before, flipped = self._now[i], self._before[i], self._flipped[i]
            torch.lt(weight.before_sign(weight.values), 0, out=now)
            torch.ne(now, before, out=flipped)
            self._counts[i].add_(flipped.view(torch.uint8))
            row.append(flipped.sum(dtype=torch.int32))
            self._now[i], self._before[i] = before, now
        self._rows.append(torch.stack(row))
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
            counts.clamp_(max=_MANY)
        if not self._rows:
            return np.zeros((0, 2))
        rows = torch.stack(self._rows)
        self._since_sample.append(rows)
        self._rows = []
        flips = rows.cpu().numpy().astype(np.float64)
        return np.stack((flips.sum(1) / sum(self._numels), flips[:, -1] / self._numels[-1]), 1)

    def read(self, look: Look, snapshot: bool) -> Values:
        """Call ``fold`` first."""
        values: Values = {}
        if self._since_sample:
            means = torch.cat(self._since_sample).float().mean(0)
            values["ff"] = {w.name: means[i] / self._numels[i] for i, w in enumerate(look.weights)}
            self._since_sample = []
        if snapshot:
            self._merge()
            values["silent"] = {w.name: 1 - self._ever[i].float().mean() for i, w in enumerate(look.weights)}
        values["oscillating"], self._oscillating = self._oscillating, {}
        return values

    def state(self) -> State:
        self._merge()
        return {name: packed(ever) for name, ever in zip(self._names, self._ever, strict=True)}


class Correlation(Instrument):
    """Correlation to initialization: the share of signs that are still those of the run's start, or of its stage's::

        C2I = 1 - sum_w |sign(w_t) - sign(w_0)| / 2 / #w        1: none changed; 0.5: unrelated

    The paper prints another 1/2 in front of the sum, which its table 1 (values below 0.5) cannot have had.
    ``references``: other weights to compare with, name -> {layer: tensor of the weight's shape}.
    """

    name = "c2i"
    source = "Liu et al. 2021, AdamBNN, arXiv:2106.11309, eq. 6-7, without the factor 1/2 of the printed equation"
    measures: tuple[Measure, ...] = (
        Measure("c2i", "1 - sum_w |sign(w_t) - sign(w_run's start)| / 2 / #w"),
        Measure("c2i_stage", "1 - sum_w |sign(w_t) - sign(w_stage's start)| / 2 / #w"),
    )
    final = True

    def __init__(self, references: Mapping[str, Mapping[str, Tensor]] | None = None) -> None:
        self._references = references or {}
        self.measures += tuple(
            Measure(f"c2i_{name}", f"1 - sum_w |sign(w_t) - sign(w_{name})| / 2 / #w") for name in self._references
        )
        self._signs: dict[str, dict[str, Tensor]] = {}

    def begin(self, look: Look, state: Mapping[str, Any]) -> None:
        now = each(look, lambda weight: weight.before_sign(look.value(weight)) < 0)
        for measure in ("c2i", "c2i_stage"):
            self._signs[measure] = {
                name: unpacked(saved, sign) if (saved := state.get(f"{measure}|{name}")) is not None else sign
                for name, sign in now.items()
            }
        for reference, weights in self._references.items():
            self._signs[f"c2i_{reference}"] = {
                weight.name: (weight.before_sign(weights[weight.name]) < 0).to(now[weight.name].device)
                for weight in look.weights
                if weight.name in weights
            }

    def read(self, look: Look, snapshot: bool) -> Values:
        now = each(look, lambda weight: weight.before_sign(look.value(weight)) < 0)
        return {
            measure: {name: (now[name] == sign).float().mean() for name, sign in signs.items()}
            for measure, signs in self._signs.items()
        }

    def state(self) -> State:
        return {
            f"{measure}|{name}": packed(sign)
            for measure in ("c2i", "c2i_stage")
            for name, sign in self._signs[measure].items()
        }


def c2i(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> float:
    """C2I over all weights named in both, e.g. of two checkpoints; NaN if there are none."""
    names = [name for name in before if name in after]
    equal = sum(int(((before[name] < 0) == (after[name] < 0)).sum()) for name in names)
    total = sum(before[name].numel() for name in names)
    return equal / total if total else math.nan


def packed(flags: Tensor) -> npt.NDArray[np.uint8]:
    """Bits of a bool tensor, in the order of its indices."""
    return np.packbits(flags.cpu().contiguous().numpy().reshape(-1))


def unpacked(bits: npt.NDArray[np.uint8], like: Tensor) -> Tensor:
    """The bool tensor that ``packed`` took, of the shape, layout and device of ``like``."""
    flags = torch.from_numpy(np.unpackbits(bits, count=like.numel()).astype(bool)).view(like.shape)
    return torch.empty_like(like, dtype=torch.bool).copy_(flags)
