"""XNOR-Net: AlexNet whose inner convolutions and dense layers are binary, each filter scaled by its mean |W|.

    layer(x) = maxpool(mean|W| * conv(sign(BatchNorm(x))))        three layers pool

The first convolution and the classifier are real. The dense layers are convolutions: the first covers the
remaining image. BatchNorm has no factor. Input scales are omitted, as in Larq Zoo.

Rastegari et al. 2016, arXiv:1603.05279; the constants are Larq Zoo's. There the gradient also passes through
mean |W|, which is a constant here.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from bittern.models.parts import binary_conv, check_count, size_behind_alexnet
from bittern.models.precision import Precision
from bittern.models.registry import IMAGENET, Facts, register_model
from bittern.nn import Conv2dSame, UnscaledBatchNorm2d


@register_model(
    "xnor-net",
    **IMAGENET,
    description="AlexNet with four binary convolutions and two binary dense layers",
    source="XNOR-Net (arXiv:1603.05279)",
    facts=Facts(62_377_440, 58_236_928, 1_025_744_896, 113_379_328, 44.96, "ImageNet, Larq Zoo"),
)
class XNORNet(nn.Module):
    """Images [N, in_channels, image_size, image_size] -> logits [N, num_classes].

    Args:
        widths: channels of the first convolution, of the four binary ones and of the two dense layers.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        image_size: int,
        *,
        widths: Sequence[int] = (96, 256, 384, 384, 256, 4096, 4096),
        precision: Precision = "binary",
    ) -> None:
        check_count(widths, 7)
        size = size_behind_alexnet(image_size)
        super().__init__()

        def binary(index: int, kernel_size: int, padding: int) -> nn.Module:
            inputs, outputs = widths[index - 1 : index + 1]
            return binary_conv(inputs, outputs, kernel_size, precision, padding=padding, estimator="ste", scale="mean")

        def norm(index: int, eps: float = 1e-4) -> nn.Module:
            return UnscaledBatchNorm2d(widths[index], eps)

        self.features = nn.Sequential(
            Conv2dSame(in_channels, widths[0], 11, 4, bias=False),
            norm(0, 1e-5),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            norm(0),
            binary(1, 5, 2),
            nn.MaxPool2d(3, 2),
            norm(1),
            binary(2, 3, 1),
            norm(2),
            binary(3, 3, 1),
            norm(3),
            binary(4, 3, 1),
            nn.MaxPool2d(3, 2),
            norm(4),
            binary(5, size, 0),
            norm(5),
            binary(6, 1, 0),
            norm(6, 1e-3),
            nn.ReLU(),
        )
        self.classifier = nn.Linear(widths[-1], num_classes, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(x).flatten(1))
        return logits
