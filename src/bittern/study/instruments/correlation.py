"""Correlation to initialization: how many signs are still those that training started from."""

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from bittern.study.instruments.base import Instrument, Measure, Readings, State, pack_bits, unpack_bits
from bittern.study.look import Look


class Correlation(Instrument):
    """Correlation to initialization: the share of signs that are still those of the run's start, or of its stage's::

        C2I = 1 - sum_w |sign(w_t) - sign(w_0)| / 2 / #w        1: none changed; 0.5: unrelated

    The paper prints another 1/2 in front of the sum, which its table 1 (values below 0.5) cannot have used.
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
        now = _signs(look)
        for measure in ("c2i", "c2i_stage"):
            self._signs[measure] = {
                name: unpack_bits(saved, sign) if (saved := state.get(f"{measure}|{name}")) is not None else sign
                for name, sign in now.items()
            }
        for reference, weights in self._references.items():
            self._signs[f"c2i_{reference}"] = {
                weight.name: (weight.before_sign(weights[weight.name]) < 0).to(now[weight.name].device)
                for weight in look.weights
                if weight.name in weights
            }

    def read(self, look: Look, snapshot: bool) -> Readings:
        now = _signs(look)
        return {
            measure: {name: (now[name] == sign).float().mean() for name, sign in signs.items()}
            for measure, signs in self._signs.items()
        }

    def state(self) -> State:
        return {
            f"{measure}|{name}": pack_bits(sign)
            for measure in ("c2i", "c2i_stage")
            for name, sign in self._signs[measure].items()
        }


def _signs(look: Look) -> dict[str, Tensor]:
    """Layer -> where its weights are negative."""
    return {weight.name: weight.before_sign(look.value(weight)) < 0 for weight in look.weights}


def c2i(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> float:
    """C2I over all weights named in both, e.g. of two checkpoints; NaN if there are none."""
    names = [name for name in before if name in after]
    equal = sum(int(((before[name] < 0) == (after[name] < 0)).sum()) for name in names)
    total = sum(before[name].numel() for name in names)
    return equal / total if total else math.nan
