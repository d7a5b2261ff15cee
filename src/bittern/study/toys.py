"""Two toy problems: one where SGD stops and Adam continues, and one where Adam fails.

Both run the optimizers that training uses, on parameters of one or two values.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from bittern.optim import create_optimizer

Path2 = npt.NDArray[np.float64]
"""Points [steps + 1, 2]."""


@dataclass(frozen=True)
class TwoNodes:
    """The two-node problem: ``paths`` by optimizer, and the surface that they descend, [len(y), len(x)]."""

    x: npt.NDArray[np.float64]
    y: npt.NDArray[np.float64]
    surface: npt.NDArray[np.float64]
    paths: dict[str, Path2]


START = (0.0, 2.4)


def node_gradient(x: float, y: float, noise: tuple[float, float]) -> tuple[float, float]:
    """Gradient of clip(x, -1, 1) + clip(y, -1, 1) where a batch moves each node by its ``noise``: 1 or 0 each."""
    return float(abs(x + noise[0]) <= 1), float(abs(y + noise[1]) <= 1)


def two_nodes(steps: int = 120, lr: float = 0.06, spread: float = 1.0, seed: int = 1) -> TwoNodes:
    """Descends f(x, y) = sign(x) + sign(y), as the estimator sees it, from (0, 2.4) with SGD and with Adam.

    ``y`` starts where its gradient is zero, and gets one only in the batches that happen to move it into [-1, 1]. Both
    receive the gradients that SGD encounters on its path. Adam divides by their root mean square, so the rare ones
    count, and y crosses zero.

    After Liu et al. 2021, AdamBNN, arXiv:2106.11309, figure 6, which does not say how batches differ: here each adds
    normal noise of standard deviation ``spread`` to both nodes. The default seed shows the effect: of seeds 0 to 7
    Adam crosses zero with seven, SGD with one; with all of them Adam ends lower.
    """
    noise = torch.randn(steps, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * spread
    gradients: list[tuple[float, float]] = []

    def gradient(point: npt.NDArray[np.float64], step: int) -> tuple[float, float]:
        if step == len(gradients):
            gradients.append(node_gradient(point[0], point[1], (float(noise[step, 0]), float(noise[step, 1]))))
        return gradients[step]

    x, y = np.linspace(-4.5, 3, 76), np.linspace(-3, 3, 61)
    paths = {
        "SGD": _descend(lambda p: torch.optim.SGD(p, lr=lr), steps, gradient),
        "Adam": _descend(lambda p: torch.optim.Adam(p, lr=lr), steps, gradient),
    }
    return TwoNodes(x, y, np.clip(x, -1, 1)[None, :] + np.clip(y, -1, 1)[:, None], paths)


@dataclass(frozen=True)
class Counterexample:
    """``weights``: optimizer -> the latent weight after each step; ``regret``: the mean over all steps."""

    weights: dict[str, npt.NDArray[np.float64]]
    regret: dict[str, float]


def counterexample(steps: int = 6000, scale: float = 3.0, start: float = 1.0) -> Counterexample:
    """A binary weight b = sign(w) on losses that Adam cannot learn::

        f_t(b) = C b  if t mod 3 = 1,  else -b          C = 3: the mean is smallest at b = -1

    The large gradient comes every third step, and Adam's square root shrinks it more than the two small ones in
    between: it ends at +1, the worst point, with regret 2 (C - 2) / 3. AMSGrad, which keeps the largest second moment,
    does not. Reddi et al. 2018, On the Convergence of Adam and Beyond, theorem 1, with b = sign(w), and the gradient of
    b passed on to w, which is kept in [-1, 1]; learning rates fall with the root of the step.
    """
    rates: dict[str, tuple[str, dict[str, Any]]] = {
        "SGD": ("sgd", {"lr": 0.9}),
        "Adam": ("adam", {"lr": 0.9, "betas": (0.0, 0.1)}),
        "AMSGrad": ("amsgrad", {"lr": 0.9, "betas": (0.0, 0.1)}),
        "Bop": ("bop", {"gamma": 1e-2, "threshold": 1e-8}),
    }
    weights, regret = {}, {}
    for name, (kind, options) in rates.items():
        w = nn.Parameter(torch.tensor([start]))
        optimizer = create_optimizer(kind, [w], **options)
        path, total = [float(w.detach())], 0.0
        for step in range(1, steps + 1):
            slope = scale if step % 3 == 1 else -1.0
            sign = -1.0 if path[-1] < 0 else 1.0
            total += slope * (sign + 1)  # against b = -1 throughout
            w.grad = torch.tensor([slope])
            for group in optimizer.param_groups:
                if "lr" in options:
                    group["lr"] = options["lr"] / step**0.5
            optimizer.step()
            with torch.no_grad():
                w.clamp_(-1, 1)
            path.append(float(w.detach()))
        weights[name], regret[name] = np.array(path), total / steps
    return Counterexample(weights, regret)


def _descend(
    build: Callable[[list[nn.Parameter]], torch.optim.Optimizer],
    steps: int,
    gradient: Callable[[npt.NDArray[np.float64], int], tuple[float, float]],
) -> Path2:
    point = nn.Parameter(torch.tensor(START, dtype=torch.float64))
    optimizer = build([point])
    path = [point.detach().numpy().copy()]
    for step in range(steps):
        point.grad = torch.tensor(gradient(path[-1], step), dtype=torch.float64)
        optimizer.step()
        path.append(point.detach().numpy().copy())
    return np.array(path)
