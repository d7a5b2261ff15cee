"""Activation saturation: the share of values in front of a sign where the estimator passes no gradient."""

import torch
from torch import Tensor, nn

from bittern.study.instruments.base import Instrument, Measure, Readings
from bittern.study.look import Look, histogram

_BINS, _RANGE = 60, 3.0
_LIMIT = 1.0


class Saturation(Instrument):
    """Share of the values in front of each sign that lie outside [-1, 1], over all values of the step.

    Where the estimator's gradient is zero there, such a value trains nothing in the layers before it.
    """

    name = "saturation"
    source = "Liu et al. 2021, AdamBNN, arXiv:2106.11309, section 3.2 and figure 3"
    measures = (
        Measure("saturation", "#{|a| > 1} / #a"),
        Measure("activation_histogram", "counts of a", "values", edges=(-_RANGE, _RANGE)),
    )
    observes = True

    def observe(self, module: nn.Module, x: Tensor, snapshot: bool) -> Tensor:
        outside = (x.abs() > _LIMIT).sum()
        sums = torch.stack((outside, outside.new_tensor(x.numel())))
        return torch.cat((sums, histogram(x.float(), -_RANGE, _RANGE, _BINS))) if snapshot else sums

    def read(self, look: Look, snapshot: bool) -> Readings:
        sums = look.sums(self.name)
        readings: Readings = {"saturation": {site: s[0] / s[1] for site, s in sums.items()}}
        if snapshot:
            readings["activation_histogram"] = {site: s[2:] for site, s in sums.items()}
        return readings
