"""Latent weights: how sure they are of their signs."""

import torch

from bittern.study.instruments.base import Instrument, Measure, Readings
from bittern.study.look import Look, histogram

_BINS, _RANGE = 301, 1.5  # an odd number: the middle bin holds zero
_NEAR = 0.1


class Latent(Instrument):
    """The distribution of the latent weights: |w| is the confidence of a sign, in steps of the optimizer its inertia.

    Weights near zero flip at the next push; beyond 1 "ste" passes them no gradient. Not for weights that are -1 and +1.
    Where a layer subtracts each filter's mean before the sign, w is what remains, and 1 is no bound.
    """

    name = "latent"
    source = (
        "confidence and peaks: Liu et al. 2021, AdamBNN, arXiv:2106.11309, section 3.3 and figure 7; "
        "inertia: Helwegen et al. 2019, arXiv:1906.02107, section 3"
    )
    measures = (
        Measure("confidence", "mean |w|", "weight"),
        Measure("near_zero", f"#{{|w| < {_NEAR} mean |w|}} / #w"),
        Measure("beyond_one", "#{|w| > 1} / #w"),
        Measure("inertia", "mean |w| / mean |w_t - w_(t-1)|", "steps"),
        Measure("latent_weights", "counts of w", "values", edges=(-_RANGE, _RANGE)),
    )
    final = True

    def read(self, look: Look, snapshot: bool) -> Readings:
        readings: Readings = {measure.name: {} for measure in self.measures}
        for weight in look.weights:
            if weight.latent_free:
                continue
            value = weight.before_sign(look.value(weight))
            magnitude = value.abs()
            confidence = magnitude.mean()
            readings["confidence"][weight.name] = confidence
            readings["near_zero"][weight.name] = (magnitude < _NEAR * confidence).float().mean()
            if not weight.centred:
                readings["beyond_one"][weight.name] = (magnitude > 1).float().mean()
            if (update := look.update(weight)) is not None:
                moved = weight.before_sign(update).abs().mean()
                readings["inertia"][weight.name] = confidence / moved.clamp(min=torch.finfo().tiny)
            if snapshot:
                readings["latent_weights"][weight.name] = histogram(value, -_RANGE, _RANGE, _BINS)
        return readings
