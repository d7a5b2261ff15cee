"""Progress of the training, for gradient estimators that change with it."""

import torch
from torch import Tensor, nn

from bittern.ops.estimators import get_estimator


def register_progress(module: nn.Module, *estimators: str, device: torch.device | str | None = None) -> None:
    """Gives ``module`` the buffer ``progress``, 0-dim, initially 0; None if none of the estimators is scheduled.

    A buffer, not a number, so that compiled code stays valid when it changes; it is not in the state dict.
    """
    scheduled = any(get_estimator(name).scheduled for name in estimators)
    module.register_buffer("progress", torch.zeros((), device=device) if scheduled else None, persistent=False)


def set_progress(model: nn.Module, fraction: float) -> None:
    """Sets the attribute ``progress``, a float or a 0-dim tensor, of every module that has one to ``fraction``.

    Call it before each step or epoch with the share of the training done, in [0, 1]. Without a call it stays 0.
    """
    if not 0 <= fraction <= 1:
        raise ValueError(f"fraction must be the share of the training done, in [0, 1], got {fraction}")
    for module in model.modules():
        progress = getattr(module, "progress", None)
        if isinstance(progress, Tensor):
            progress.fill_(fraction)
        elif isinstance(progress, float):
            module.progress = float(fraction)  # type: ignore[assignment]
