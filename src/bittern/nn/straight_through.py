"""Any step function, with the gradient of an estimator."""

from typing import Any

import torch
from torch import Tensor

from bittern.ops.estimators import Estimator, get_estimator


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor, y: Tensor, estimator: Estimator) -> Tensor:
        return y.view_as(y)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Estimator], output: Tensor) -> None:
        x, _, ctx.estimator = inputs
        ctx.save_for_backward(x)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return ctx.estimator.backward(grad, *ctx.saved_tensors), None, None


def check_unscheduled(estimator: str) -> str:
    """The name of an estimator that does not change; ValueError for one that changes during training."""
    row = get_estimator(estimator)
    if row.scheduled:
        raise ValueError(f"estimator {estimator!r} changes during training, which only signs support; use 'ste'")
    return row.name


def straight_through(x: Tensor, y: Tensor, estimator: str = "identity") -> Tensor:
    """``y``, a step function of ``x`` of the same shape; dL/dx by the equation of ``estimator`` at ``x``."""
    if torch.compiler.is_exporting():
        return y
    result: Tensor = _StraightThrough.apply(x, y.detach(), get_estimator(estimator))  # type: ignore[no-untyped-call]
    return result
