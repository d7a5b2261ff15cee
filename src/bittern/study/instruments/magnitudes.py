"""Channel-wise absolute means (CAM) of what an optimizer handles, and how much the filters differ (SDAM).

    CAM_o  = mean over (c, i, j) of |t_{o,c,i,j}|        SDAM = standard deviation of CAM_o over the filters o

Liu et al. 2021, AdamBNN, arXiv:2106.11309, equation 3 (there of the latent weights; figure 5 of the update values).
"""

from torch import Tensor

from bittern.study.instruments.base import Instrument, Measure, Readings
from bittern.study.layers import LatentWeight
from bittern.study.look import Look, histogram, per_filter

_BINS, _DECADES = 60, (-12.0, 0.0)


def cam(values: Tensor) -> Tensor:
    """CAM [O] of ``values`` [O, ...]."""
    magnitude = values.abs()
    dimensions = per_filter(values)
    return magnitude.mean(dimensions) if dimensions else magnitude


def sdam(cams: Tensor) -> Tensor:
    """Standard deviation over the filters, with n (not n - 1) in the denominator; 0 for one filter."""
    return cams.std(correction=0)


def _measures(kind: str, symbol: str, unit: str) -> tuple[Measure, ...]:
    return (
        Measure(f"{kind}_mean", f"mean over o of CAM_o({symbol})", unit),
        Measure(f"{kind}_sdam", f"std over o of CAM_o({symbol})", unit),
        Measure(f"{kind}_cam", f"CAM_o({symbol}) = mean of |{symbol}| over filter o", unit, per="filter"),
        Measure(f"{kind}_histogram", f"counts of log10 |{symbol}|", "values", edges=_DECADES, log=True),
    )


class _Magnitudes(Instrument):
    source = "Liu et al. 2021, AdamBNN, arXiv:2106.11309, eq. 3, figures 4 and 5"

    def tensors(self, look: Look, weight: LatentWeight) -> dict[str, Tensor]:
        """What is measured, by kind."""
        raise NotImplementedError

    def read(self, look: Look, snapshot: bool) -> Readings:
        readings: Readings = {measure.name: {} for measure in self.measures}
        for weight in look.weights:
            for kind, tensor in self.tensors(look, weight).items():
                cams = cam(tensor)
                readings[f"{kind}_mean"][weight.name] = cams.mean()
                readings[f"{kind}_sdam"][weight.name] = sdam(cams)
                if snapshot:
                    readings[f"{kind}_cam"][weight.name] = cams
                    exponents = tensor.abs().clamp_(min=10 ** _DECADES[0]).log10_()
                    readings[f"{kind}_histogram"][weight.name] = histogram(exponents, *_DECADES, _BINS)
        return readings


class Gradients(_Magnitudes):
    """Channel-wise absolute gradient of the latent weights."""

    name = "gradients"
    measures = _measures("gradient", "dL/dw", "loss/weight")

    def tensors(self, look: Look, weight: LatentWeight) -> dict[str, Tensor]:
        gradient = look.gradient(weight)
        return {} if gradient is None else {"gradient": gradient}


class Moments(_Magnitudes):
    """The optimizer's running averages: Adam's two moments, SGD's and Bop's momentum."""

    name = "moments"
    measures = _measures("first_moment", "m", "loss/weight") + _measures("second_moment", "v", "(loss/weight)^2")

    def tensors(self, look: Look, weight: LatentWeight) -> dict[str, Tensor]:
        return look.moments(weight)


class Updates(_Magnitudes):
    """Update value: what the step changed, including learning rate and decay."""

    name = "updates"
    measures = _measures("update", "w_t - w_(t-1)", "weight")

    def tensors(self, look: Look, weight: LatentWeight) -> dict[str, Tensor]:
        update = look.update(weight)
        return {} if update is None else {"update": update}


class LatentMagnitudes(_Magnitudes):
    """CAM and SDAM of the latent weights; nothing where weights are -1 and +1 themselves."""

    name = "latent_magnitudes"
    measures = _measures("latent", "w", "weight")
    final = True

    def tensors(self, look: Look, weight: LatentWeight) -> dict[str, Tensor]:
        return {} if weight.latent_free else {"latent": look.value(weight)}
