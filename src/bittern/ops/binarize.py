"""``bittern::binarize``: the one operator that a training graph needs besides PyTorch's own.

binarize(x) = -1 if x < 0 else +1          so 0, -0.0 and NaN give +1
"""

from typing import Any

import torch
from torch import Tensor

from bittern.ops._library import define
from bittern.ops.estimators import ESTIMATORS, Estimator, get_estimator


def _check_floating(x: Tensor) -> None:
    if not x.is_floating_point():
        raise TypeError(f"binarize needs a floating-point tensor, got {x.dtype}; convert it with .float()")


def _binarize(x: Tensor) -> Tensor:
    _check_floating(x)
    # 1 - 2 * (x < 0), in two passes over one tensor: comparing straight into a float tensor is several times faster
    # than torch.where, and every comparison with a NaN is false.
    result = torch.lt(x, 0, out=torch.empty_like(x))
    return torch.sub(result.new_ones(()), result, alpha=2, out=result)


def _binarize_fake(x: Tensor) -> Tensor:
    _check_floating(x)
    return torch.empty_like(x)


define("binarize", "Tensor x", _binarize, _binarize_fake)


def _save_input(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(inputs[0])


def _ste_backward(ctx: Any, grad: Tensor) -> Tensor:
    return ESTIMATORS["ste"].backward(grad, *ctx.saved_tensors)


# A module that calls torch.ops.bittern.binarize itself trains too: its gradient is that of "ste".
torch.library.register_autograd("bittern::binarize", _ste_backward, setup_context=_save_input)


def _operator(x: Tensor) -> Tensor:
    result: Tensor = torch.ops.bittern.binarize.default(x)
    return result


class _Binarize(torch.autograd.Function):
    """Puts an estimator behind the operator."""

    @staticmethod
    def forward(x: Tensor, estimator: Estimator, progress: Tensor | None) -> Tensor:
        return _operator(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Estimator, Tensor | None], output: Tensor) -> None:
        x, ctx.estimator, progress = inputs
        ctx.save_for_backward(*((x,) if progress is None else (x, progress)))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return ctx.estimator.backward(grad, *ctx.saved_tensors), None, None


def binarize(x: Tensor, estimator: str = "ste", progress: float | Tensor | None = None) -> Tensor:
    """-1 where ``x < 0``, else +1: same shape, dtype and memory layout as ``x``, which must be floating-point.

    Backward: the equation of ``get_estimator(estimator)``.

    Args:
        progress: the share of the training done, in [0, 1], for estimators that change with it (``scheduled``); others
            do not read it. None is 0. A 0-dim tensor, on the device of ``x``, changes without compiling again.
    """
    row = get_estimator(estimator)
    if torch.compiler.is_exporting():
        # An exported program has no backward: it shows the operator, in every mode, and no trace of the estimator.
        return _operator(x)
    result: Tensor = _Binarize.apply(x, row, _scheduled(progress, x) if row.scheduled else None)  # type: ignore[no-untyped-call]
    return result


def _scheduled(progress: float | Tensor | None, x: Tensor) -> Tensor:
    # float32 at least, so that an estimator's constants are as precise under autocast as without.
    dtype = torch.promote_types(x.dtype, torch.float32)
    if isinstance(progress, Tensor):
        return progress.to(dtype, copy=True)  # which may change before the backward pass
    progress = 0.0 if progress is None else progress
    if not 0 <= progress <= 1:
        raise ValueError(f"progress is the share of the training done, in [0, 1], got {progress}")
    return torch.tensor(progress, dtype=dtype, device=x.device)
