"""Dead weights: those that no gradient reaches, and whether they come back."""

from torch import Tensor

from bittern.study.instruments.base import Instrument, Measure, Values
from bittern.study.look import Look


class DeadWeights(Instrument):
    """Latent weights whose gradient was exactly zero in every sampled step of a window.

    ``revived_weights``: of those that were dead in the window before, the share that is not now; NaN where none was.
    """

    name = "dead_weights"
    source = "Liu et al. 2021, AdamBNN, arXiv:2106.11309, section 3.2.3; the window is ours"
    measures = (
        Measure("dead_weights", "#{w: g = 0 in every sampled step of the window} / #w"),
        Measure("revived_weights", "#{w: dead in the window before, not now} / #{w: dead in the window before}"),
    )

    def __init__(self) -> None:
        self._alive: dict[str, Tensor] = {}
        self._dead: dict[str, Tensor] = {}

    def read(self, look: Look, snapshot: bool) -> Values:
        for weight in look.weights:
            gradient = look.gradient(weight)
            if gradient is None:
                continue
            if weight.name in self._alive:
                self._alive[weight.name].logical_or_(gradient != 0)
            else:
                self._alive[weight.name] = gradient != 0
        if not look.window_ends:
            return {}
        values: Values = {measure.name: {} for measure in self.measures}
        for name, alive in self._alive.items():
            dead = ~alive
            values["dead_weights"][name] = dead.float().mean()
            if (before := self._dead.get(name)) is not None:
                values["revived_weights"][name] = (before & alive).sum() / before.sum()
            self._dead[name] = dead
        self._alive = {}
        return values
