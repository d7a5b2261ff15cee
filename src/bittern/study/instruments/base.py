"""What an instrument is: a few measures with their equations, and the moments at which it looks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from bittern.study.look import Look

Readings = dict[str, dict[str, Tensor]]
"""Measure -> layer -> a scalar, or a tensor of one dimension: a map over filters, or the counts of a histogram."""

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

    ``observe`` is called for every activation that passes a sign in the forward passes of a sampled training step;
    everything else runs after the optimizer's step.

    Attributes:
        default: whether ``watch`` uses the instrument unless told otherwise.
        observes: whether ``observe`` is to be called.
        final: whether ``read`` also works at the end of a stage, from the weights alone.
    """

    name: ClassVar[str]
    source: ClassVar[str] = ""
    measures: tuple[Measure, ...] = ()
    default: ClassVar[bool] = True
    observes: ClassVar[bool] = False
    final: ClassVar[bool] = False

    def begin(self, look: Look, state: Mapping[str, Any]) -> None:
        """A stage starts with the weights of ``look``. ``state`` is what ``state()`` returned before a resume."""

    def every_step(self, look: Look) -> None:
        """Cheap work of every step."""

    def observe(self, module: nn.Module, x: Tensor, snapshot: bool) -> Tensor:
        """Sums [n] over an activation ``x`` that is about to pass a sign in ``module``; added up over processes."""
        raise NotImplementedError

    def read(self, look: Look, snapshot: bool) -> Readings:
        """The measures of a sampled step; the expensive ones only if ``snapshot``."""
        raise NotImplementedError

    def state(self) -> State:
        """What a resumed run needs to continue, in as few bytes as possible."""
        return {}


def revived(dead_before: Tensor, dead: Tensor) -> Tensor:
    """Share of what was dead in the window before and is not now; NaN where nothing was."""
    return (dead_before & ~dead).sum() / dead_before.sum()


def pack_bits(flags: Tensor) -> npt.NDArray[np.uint8]:
    """Bits of a bool tensor, in the order of its indices."""
    return np.packbits(flags.cpu().contiguous().numpy().reshape(-1))


def unpack_bits(bits: npt.NDArray[np.uint8], like: Tensor) -> Tensor:
    """The bool tensor that ``pack_bits`` took, in the shape, layout and device of ``like``."""
    flags = torch.from_numpy(np.unpackbits(bits, count=like.numel()).astype(bool)).view(like.shape)
    return torch.empty_like(like, dtype=torch.bool).copy_(flags)
