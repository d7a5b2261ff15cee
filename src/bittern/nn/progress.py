"""How far the training is, for gradient estimators that change during it."""

import torch
from torch import Tensor, nn

from bittern.ops.estimators import get_estimator


def register_progress(module: nn.Module, *estimators: str, device: torch.device | str | None = None) -> None:
    """Gives ``module`` the buffer ``progress``, 0-dim and first 0; None if none of the estimators is scheduled.

    A buffer and not a number, so that code compiled by torch stays valid when it changes; no part of the state dict.
    """
    scheduled = any(get_estimator(name).scheduled for name in estimators)
    module.register_buffer("progress", torch.zeros((), device=device) if scheduled else None, persistent=False)


def set_progress(model: nn.Module, fraction: float) -> None:
    """Tells every module with an attribute ``progress``, a float or a 0-dim tensor, the share of the training done.

    Call it before each step, or each epoch; ``fraction`` in [0, 1]. A module that is never told stays at 0.
    """
    if not 0 <= fraction <= 1:
        raise ValueError(f"fraction is the share of the training done, in [0, 1], got {fraction}")
    for module in model.modules():
        progress = getattr(module, "progress", None)
        if isinstance(progress, Tensor):
            progress.fill_(fraction)
        elif isinstance(progress, float):
            module.progress = float(fraction)  # type: ignore[assignment]
