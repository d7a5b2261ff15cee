"""Dead weights: those that no gradient reaches, and whether they come back."""

from torch import Tensor

from bittern.study.instruments.base import Instrument, Measure, Readings, revived
from bittern.study.look import Look


class DeadWeights(Instrument):
    """Latent weights whose gradient was exactly zero in every sampled step of a window."""

    name = "dead_weights"
    source = "Liu et al. 2021, AdamBNN, arXiv:2106.11309, section 3.2.3; the window is ours"
    measures = (
        Measure("dead_weights", "#{w: g = 0 in every sampled step of the window} / #w"),
        Measure("revived_weights", "#{w: dead in the window before, not now} / #{w: dead in the window before}"),
    )

    def __init__(self) -> None:
        self._alive: dict[str, Tensor] = {}
        self._dead: dict[str, Tensor] = {}

    def read(self, look: Look, snapshot: bool) -> Readings:
        for weight in look.weights:
            if (gradient := look.gradient(weight)) is not None:
                alive = gradient != 0
                self._alive[weight.name] = self._alive.get(weight.name, alive) | alive
        if not look.window_ends:
            return {}
        readings: Readings = {measure.name: {} for measure in self.measures}
        for name, alive in self._alive.items():
            readings["dead_weights"][name] = (~alive).float().mean()
            if name in self._dead:
                readings["revived_weights"][name] = revived(self._dead[name], ~alive)
            self._dead[name] = ~alive
        self._alive = {}
        return readings
