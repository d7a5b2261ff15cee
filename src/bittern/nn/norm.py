"""BatchNorm that learns an offset but no factor: in front of a sign only the factor's own sign would matter."""

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


class _Unscaled(_BatchNorm):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(num_features, eps, momentum, device=device, dtype=dtype)
        self.register_parameter("weight", None)

    def reset_parameters(self) -> None:
        self.reset_running_stats()
        nn.init.zeros_(self.bias)


class UnscaledBatchNorm1d(_Unscaled, nn.BatchNorm1d):
    """``torch.nn.BatchNorm1d`` without ``weight``, for rows [N, C]::

    y = (x - mean) / sqrt(var + eps) + bias[c]                      Keras: BatchNormalization(scale=False)
    """


class UnscaledBatchNorm2d(_Unscaled, nn.BatchNorm2d):
    """``torch.nn.BatchNorm2d`` without ``weight``, for images [N, C, H, W]; the equation of UnscaledBatchNorm1d."""
