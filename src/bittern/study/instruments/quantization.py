"""Quantization error: what a sign and one scale per filter leave of the latent weights."""

from torch import Tensor

from bittern.study.instruments.base import Instrument, Measure, Readings
from bittern.study.look import Look, per_filter


def quantization_error(weight: Tensor) -> Tensor:
    """Per filter of ``weight`` [O, ...], in [0, 1); 0 for a filter of one magnitude, 1 - 2/pi for normal values::

        e_o = min over a of ||w_o - a sign(w_o)||^2 / ||w_o||^2 = 1 - ||w_o||_1^2 / (n ||w_o||_2^2)

    Rastegari et al. 2016, XNOR-Net, arXiv:1603.05279, eq. 2-6, divided by the filter's square.
    """
    dimensions = per_filter(weight)
    if not dimensions:
        return weight.new_zeros(weight.shape)
    mean_square = weight.square().mean(dimensions)
    error = 1 - weight.abs().mean(dimensions).square() / mean_square.clamp(min=1e-38)
    return error.clamp_(min=0).where(mean_square > 0, 0)


class Quantization(Instrument):
    """Relative quantization error of each filter, minus its mean where the layer subtracts that before the sign.

    Skips weights that are -1 and +1 themselves.
    """

    name = "quantization"
    source = "Rastegari et al. 2016, XNOR-Net, arXiv:1603.05279, eq. 2-6"
    measures = (
        Measure("quantization_error", "mean over o of e_o,  e_o = 1 - ||w_o||_1^2 / (n ||w_o||_2^2)"),
        Measure("quantization_errors", "e_o = 1 - ||w_o||_1^2 / (n ||w_o||_2^2)", per="filter"),
    )
    final = True

    def read(self, look: Look, snapshot: bool) -> Readings:
        errors = {w.name: quantization_error(w.before_sign(look.value(w))) for w in look.weights if not w.latent_free}
        readings: Readings = {"quantization_error": {name: error.mean() for name, error in errors.items()}}
        if snapshot:
            readings["quantization_errors"] = errors
        return readings
