"""What an instrument is: a few measures with their equations, and the moments at which it looks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from bittern.study.look import Look

Values = dict[str, dict[str, Tensor]]
"""Measure -> layer -> a tensor of no dimension (a scalar) or of one (a map over filters, or counts of a histogram)."""

State = dict[str, npt.NDArray[np.uint8]]


@dataclass(frozen=True)
class Measure:
    """A quantity of a layer.

    Args:
        unit: "1" for a share or another ratio.
        edges: (low, high) of a histogram's bins; in powers of ten if ``log``.
        per: what one value belongs to: "layer", or "filter" (or "channel") for a map.
    """

    name: str
    equation: str
    unit: str = "1"
    per: str = "layer"
    edges: tuple[float, float] | None = None
    log: bool = False


class Instrument:
    """Override what you need. Methods run without gradients; tensors that they return may stay on their device.

    ``observe`` is called for every activation that passes a sign in the training's forward passes of a sampled step;
    all else after the optimizer's step. ``final``: it can be read at the end of a stage too, from the weights alone.
    """

    name: ClassVar[str]
    source: ClassVar[str] = ""
    measures: tuple[Measure, ...] = ()
    default: ClassVar[bool] = True
    observes: ClassVar[bool] = False
    final: ClassVar[bool] = False

    def begin(self, look: Look, state: Mapping[str, Any]) -> None:
        """A stage starts with the weights of ``look``; ``state`` is what ``state()`` returned before a resumed run."""

    def every_step(self, look: Look) -> None:
        """Cheap work of every step."""

    def observe(self, module: nn.Module, x: Tensor, snapshot: bool) -> Tensor:
        """Sums [n] over an activation ``x`` that is about to pass a sign in ``module``; added up over processes."""
        raise NotImplementedError

    def read(self, look: Look, snapshot: bool) -> Values:
        """The measures of a sampled step; those that are dear only if ``snapshot``."""
        raise NotImplementedError

    def state(self) -> State:
        """What a resumed run needs to go on, in as few bytes as possible."""
        return {}


def each(look: Look, measure: Any) -> dict[str, Tensor]:
    """``measure(weight)`` of each weight for which it is not None, by name."""
    found = ((weight.name, measure(weight)) for weight in look.weights)
    return {name: value for name, value in found if value is not None}
