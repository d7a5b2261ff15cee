"""What the optimizers' tests train."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from bittern.ops.binarize import binarize
from bittern.optim import OPTIMIZERS, create_optimizer, list_optimizers
from bittern.optim.base import BinaryOptimizer

NAMES = list_optimizers()
OURS = [name for name in NAMES if OPTIMIZERS[name].cls.__module__.startswith("bittern")]
WHOLLY_OURS = [name for name in OURS if issubclass(OPTIMIZERS[name].cls, BinaryOptimizer)]
"""The others' steps are torch's."""
LATENT_FREE = [name for name in NAMES if OPTIMIZERS[name].latent_free]
SHAPES = ((6, 4, 3, 3), (5, 8), (7,), ())
SETTINGS: dict[str, dict[str, Any]] = {
    "sgd": {"lr": 0.05},
    "adam": {"lr": 0.01},
    "amsgrad": {"lr": 0.01},
    "adamw": {"lr": 0.01},
    "bop": {"gamma": 0.05, "threshold": 0.01},
    "bop2ndorder": {"gamma": 0.05, "sigma": 0.05, "threshold": 0.1},
    "bop2ndorder-unbiased": {"gamma": 0.05, "sigma": 0.05, "threshold": 0.5},
    "cema": {"alpha": 0.02},
    "diode": {"lr": 0.1},
    "bamsprod": {"lr": 0.01},
}
"""Options with which problems of a few hundred steps are solved; a new row of the registry starts with its defaults."""


def make(name: str, params: Any, **options: Any) -> Optimizer:
    return create_optimizer(name, params, **{**SETTINGS.get(name, {}), **options})


def parameters(*shapes: tuple[int, ...], seed: int = 0, dtype: torch.dtype = torch.float32) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(seed)
    return [nn.Parameter(torch.randn(shape, generator=generator).mul_(0.3).to(dtype)) for shape in shapes]


def gradients(params: list[nn.Parameter], seed: int) -> None:
    """Sets ``grad`` of each to noise around 0.2, the same for the same ``seed`` and shapes."""
    generator = torch.Generator().manual_seed(seed)
    for p in params:
        p.grad = torch.empty_like(p).copy_(torch.randn(p.shape, generator=generator) + 0.2)


def train(optimizer: Optimizer, params: list[nn.Parameter], steps: range) -> None:
    for t in steps:
        gradients(params, t)
        optimizer.step()


def values(params: list[nn.Parameter]) -> list[Tensor]:
    return [p.detach().clone() for p in params]


def same(a: list[nn.Parameter], b: list[nn.Parameter]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


class Regression:
    """Finds w in {-1, +1}^n from X and X w: ``loss`` of weights whose signs the network reads."""

    def __init__(self, size: int = 24, samples: int = 96) -> None:
        generator = torch.Generator().manual_seed(1)
        self.x = torch.randn(samples, size, generator=generator)
        self.y = self.x @ torch.randn(size, generator=generator).sign()

    def loss(self, w: Tensor) -> Tensor:
        return (self.x.to(w) @ binarize(w) - self.y.to(w)).square().mean()

    def minimize(self, optimizer: Optimizer, w: Tensor, steps: int, scale: Callable[[Tensor], Tensor]) -> float:
        """The loss after ``steps``; the gradients are those of ``scale(loss)``."""
        for _ in range(steps):
            optimizer.zero_grad()
            scale(self.loss(w)).backward()
            optimizer.step()
        return self.loss(w).item()
