"""Gradient mismatch: with its signs smoothed, does the loss fall as fast as the estimator's gradient says?"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from bittern.study.instruments.base import Instrument, Measure, Readings
from bittern.study.layers import LatentWeight
from bittern.study.look import Look

Loss = Callable[[], Tensor]
"""The loss of the watched network on one fixed batch, a tensor with a gradient."""


class Smoothed(TorchDispatchMode):
    """Inside this mode, and without gradients, ``bittern::binarize`` is the mean of a sign under normal noise::

        S(x) = E[sign(x + s n)] = erf(x / (sqrt(2) s)),   s = width * root mean square of x

    The first pass fixes every s, in the order of the calls; later passes, started by ``again``, reuse them.
    """

    def __init__(self, width: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._width = width
        self._scales: list[Tensor] = []
        self._next = 0

    def again(self) -> None:
        self._next = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is not torch.ops.bittern.binarize.default:
            return func(*args, **(kwargs or {}))
        x = args[0]
        if self._next == len(self._scales):
            scale = self._width * math.sqrt(2) * x.float().square().mean().sqrt()
            self._scales.append(scale.clamp(min=torch.finfo(torch.float32).tiny).to(x.dtype))
        self._next += 1
        return torch.erf(x / self._scales[self._next - 1])


def agreement(
    model: nn.Module, loss: Loss, weights: list[LatentWeight], width: float = 0.25, step: float = 1e-2
) -> dict[str, Tensor]:
    """Slope of the smoothed loss along each layer's gradient, as a share of the slope that the gradient predicts::

        A = (L_S(w + h u) - L_S(w - h u)) / (2 h ||g||),   u = g / ||g||,  g = dL/dw by the estimators,  h = step ||w||

    1: the estimator is right; 0: it says nothing; below 0: the loss grows. Weights, buffers, gradients and random
    streams are left unchanged. Takes two forward passes per layer.
    """

    def seeded() -> Tensor:
        torch.manual_seed(0)  # the same dropout in every pass
        return loss()

    with _undisturbed(model):
        with torch.enable_grad():
            parameters = [weight.parameter for weight in weights]
            gradients = torch.autograd.grad(seeded(), parameters, allow_unused=True)
        found: dict[str, Tensor] = {}
        with torch.no_grad(), Smoothed(width) as smoothed:
            seeded()
            for weight, gradient in zip(weights, gradients, strict=True):
                if gradient is None or not (norm := gradient.float().norm()) > 0:
                    continue
                h = step * float(weight.parameter.float().norm())
                direction = gradient / norm.to(gradient.dtype)
                original = weight.parameter.clone()
                values = []
                for sign in (1, -1):
                    smoothed.again()
                    weight.parameter.copy_(original + sign * h * direction)
                    values.append(seeded().double())
                weight.parameter.copy_(original)
                found[weight.name] = ((values[0] - values[1]) / (2 * h * norm.double())).float()
    return found


@contextmanager
def _undisturbed(model: nn.Module) -> Iterator[None]:
    """Restores buffers, such as BatchNorm's statistics, and the random streams on exit."""
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    devices = sorted({p.device.index or 0 for p in model.parameters() if p.device.type == "cuda"})
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        with torch.no_grad():
            for buffer, value in buffers:
                buffer.copy_(value)


class Mismatch(Instrument):
    """``agreement`` of each layer's gradient with finite differences of the smoothed network, on the probe's batch.

    Skips weights that are -1 and +1: their smoothed signs are flat.
    """

    name = "mismatch"
    source = "smooth stand-ins of the sign: Liu et al. 2018, Bi-Real Net, arXiv:1808.00278; the measure is ours"
    measures = (Measure("agreement", "(L_S(w + h u) - L_S(w - h u)) / (2 h ||g||), S = erf in place of every sign"),)
    default = False

    def __init__(self, model: nn.Module, probe: Loss) -> None:
        self._model, self._probe = model, probe

    def read(self, look: Look, snapshot: bool) -> Readings:
        weights = [weight for weight in look.weights if not weight.latent_free]
        return {"agreement": agreement(self._model, self._probe, weights)} if snapshot and weights else {}
