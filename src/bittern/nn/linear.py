"""``BinaryLinear``: ``torch.nn.Linear`` on signs."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bittern.nn.binary_layer import BinaryLayer
from bittern.nn.channels import Scale
from bittern.nn.weights import WeightTransform


class BinaryLinear(BinaryLayer, nn.Linear):
    """Linear layer on signs::

        y = a * (binarize(x) @ binarize(W)^T) + b

    The positional arguments are those of ``torch.nn.Linear``, except that ``bias`` is False by default. The keyword
    arguments mean the same as in ``BinaryConv2d``; ``a`` is per output feature.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        scale: Scale = "none",
        estimator: str = "approx_sign",
        weight_estimator: str = "ste",
        binarize_input: bool = True,
        binarize_weight: bool = True,
        weight_transform: WeightTransform = "none",
    ) -> None:
        super().__init__(in_features, out_features, bias, device=device, dtype=dtype)
        self._set_up(scale, estimator, weight_estimator, binarize_input, binarize_weight, weight_transform)

    def forward(self, x: Tensor) -> Tensor:
        x, weight, scale = self._operands(x)
        if scale is None:
            return F.linear(x, weight, self.bias)
        y = F.linear(x, weight) * scale
        return y if self.bias is None else y + self.bias
