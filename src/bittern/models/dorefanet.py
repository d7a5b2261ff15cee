"""DoReFaNet: AlexNet with 1-bit weights and 2-bit activations.

    layer(x) = maxpool(BatchNorm(conv(round(3 * clip(x, 0, 1)) / 3)))             three layers pool

Weights are mean |W| * sign(W) with the mean over the whole layer. The first convolution and the classifier are real.
BatchNorm has no factor. ``binary_activations`` and ``binary`` mean 2-bit activations here; no multiply-accumulate
multiplies signs by signs, so all count as float.

Zhou et al. 2016, arXiv:1606.06160; the constants are Larq Zoo's.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from bittern.models.parts import check_count, check_image_size
from bittern.models.precision import Precision, check_precision
from bittern.models.registry import IMAGENET, Facts, register_model
from bittern.nn import (
    BinaryConv2d,
    BinaryLinear,
    DoReFaActivation,
    MaxPool2dSame,
    UnscaledBatchNorm1d,
    UnscaledBatchNorm2d,
)

_EPS = 1e-4


@register_model(
    "dorefanet",
    **IMAGENET,
    description="AlexNet with 1-bit weights and 2-bit activations",
    source="DoReFa-Net (arXiv:1606.06160)",
    facts=Facts(62_384_968, 58_236_928, 0, 3_049_637_888, 53.39, "ImageNet, Larq Zoo"),
)
class DoReFaNet(nn.Module):
    """Images [N, in_channels, image_size, image_size] -> logits [N, num_classes].

    Args:
        widths: channels of the five convolutions and of the two hidden dense layers.
        bits: of the activations.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        image_size: int,
        *,
        widths: Sequence[int] = (96, 256, 384, 384, 256, 4096, 4096),
        bits: int = 2,
        precision: Precision = "binary",
    ) -> None:
        check_precision(precision)
        check_count(widths, 7)
        check_image_size(image_size, 44)
        super().__init__()
        size = (image_size - 12) // 4 + 1
        size = (-(-size // 4) - 3) // 2 + 1  # two poolings with padding, one without
        binary: dict[str, Any] = {
            "scale": "layer_mean",
            "weight_estimator": "identity",
            "binarize_input": False,
            "binarize_weight": precision == "binary",
        }

        def activation() -> nn.Module:
            return nn.ReLU() if precision == "float" else DoReFaActivation(bits)

        def layer(index: int, kernel_size: int, pool: nn.Module | None = None) -> list[nn.Module]:
            inputs, outputs = widths[index - 1 : index + 1]
            conv = BinaryConv2d(inputs, outputs, kernel_size, padding=kernel_size // 2, **binary)
            return [activation(), conv, UnscaledBatchNorm2d(outputs, _EPS), *([] if pool is None else [pool])]

        def dense(inputs: int, outputs: int) -> list[nn.Module]:
            linear = BinaryLinear(inputs, outputs, **binary)
            return [activation(), linear, UnscaledBatchNorm1d(outputs, _EPS)]

        self.features = nn.Sequential(
            nn.Conv2d(in_channels, widths[0], 12, 4),
            *layer(1, 5, MaxPool2dSame(3, 2)),
            *layer(2, 3, MaxPool2dSame(3, 2)),
            *layer(3, 3),
            *layer(4, 3, nn.MaxPool2d(3, 2)),
        )
        self.hidden = nn.Sequential(*dense(widths[4] * size**2, widths[5]), *dense(widths[5], widths[6]))
        self.classifier = nn.Linear(widths[6], num_classes)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.hidden(self.features(x).flatten(1)).clamp(0, 1)
        logits: Tensor = self.classifier(hidden)
        return logits
