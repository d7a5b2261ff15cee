"""``BinaryLinear``: ``torch.nn.Linear`` on signs."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bittern.nn.channels import Scale, check_scale, output_scale, scale_in_front
from bittern.nn.progress import register_progress
from bittern.nn.weights import WeightTransform, binary_weight, check_weight_transform
from bittern.ops.binarize import binarize
from bittern.ops.estimators import get_estimator


class BinaryLinear(nn.Linear):
    """Linear layer on signs::

        y = a * (binarize(x) @ binarize(W)^T) + b

    The positional arguments are those of ``torch.nn.Linear``, but ``bias`` is False unless asked for. The keyword
    arguments mean what they mean in ``BinaryConv2d``; ``a`` is per output feature.
    """

    latent_weights = ("weight",)
    scales_and_thresholds = ("scale",)

    scale: nn.Parameter | None
    progress: Tensor | None

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
        check_scale(scale)
        check_weight_transform(weight_transform, scale, in_features)
        super().__init__(in_features, out_features, bias, device=device, dtype=dtype)
        self.scale_kind = scale
        self.weight_transform = weight_transform
        self.estimator = get_estimator(estimator).name
        self.weight_estimator = get_estimator(weight_estimator).name
        self.binarize_input = binarize_input
        self.binarize_weight = binarize_weight
        scales = nn.Parameter(torch.ones(out_features, device=device, dtype=dtype)) if scale == "learned" else None
        self.register_parameter("scale", scales)
        register_progress(self, estimator, weight_estimator, device=device)

    def forward(self, x: Tensor) -> Tensor:
        if self.binarize_input:
            x = binarize(x, self.estimator, self.progress)
        weight = real = self.weight
        if self.binarize_weight:
            weight, real = binary_weight(self.weight, self.weight_transform, self.weight_estimator, self.progress)
        scale = output_scale(self.scale_kind, real, self.scale, binarized=self.binarize_weight)
        weight, scale = scale_in_front(self.scale_kind, weight, scale)
        if scale is None:
            return F.linear(x, weight, self.bias)
        y = F.linear(x, weight) * scale
        return y if self.bias is None else y + self.bias

    def extra_repr(self) -> str:
        return (
            f"{super().extra_repr()}, scale={self.scale_kind!r}, estimator={self.estimator!r}, "
            f"weight_estimator={self.weight_estimator!r}, "
            f"binarize_input={self.binarize_input}, binarize_weight={self.binarize_weight}, "
            f"weight_transform={self.weight_transform!r}"
        )
