"""ReActNet-A: MobileNet with full 3x3 instead of depthwise layers, and a shortcut around every binary convolution.

    y         = RPReLU(BatchNorm(mean|W| * conv3x3(RSign(x))) + shortcut(x))
    block(x)  = RPReLU(z),  z = BatchNorm(mean|W| * conv1x1(RSign(y))) + y

The shortcut is ``x``, or its 2x2 means where the block halves the image. Where it doubles the channels, ``z`` is the
concatenation of two such 1x1 convolutions of the same signs. Stem and classifier are real; no activation in the stem.

Liu et al. 2020, ReActNet, arXiv:2003.03488. Trained by the recipe of AdamBNN, arXiv:2106.11309, it reaches 70.5 %.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bittern.models.parts import (
    ImageClassifier,
    conv_of_signs,
    copies_of,
    doubling_stages,
    shifted_prelu,
    threshold,
)
from bittern.models.precision import Precision
from bittern.models.registry import IMAGENET, Facts, register_model
from bittern.nn.channels import Scale


class ReActNetBlock(nn.Module):
    """[N, in_channels, H, W] -> [N, out_channels, ceil(H / stride), ceil(W / stride)]; as many channels or twice."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, precision: Precision, scale: Scale) -> None:
        def convolution(kernel_size: int, stride: int) -> nn.Sequential:
            padding = kernel_size // 2
            conv = conv_of_signs(
                in_channels, in_channels, kernel_size, precision, stride=stride, padding=padding, scale=scale
            )
            return nn.Sequential(conv, nn.BatchNorm2d(in_channels))

        copies = copies_of(in_channels, out_channels)
        super().__init__()
        self.shortcut = nn.Identity() if stride == 1 else nn.AvgPool2d(stride, ceil_mode=True)
        self.spatial_sign = threshold(in_channels, precision)
        self.spatial = convolution(3, stride)
        self.spatial_activation = shifted_prelu(in_channels, precision)
        self.pointwise_sign = threshold(in_channels, precision)
        self.pointwise = nn.ModuleList(convolution(1, 1) for _ in range(copies))
        self.activation = shifted_prelu(out_channels, precision)

    def forward(self, x: Tensor) -> Tensor:
        y = self.spatial_activation(self.spatial(self.spatial_sign(x)) + self.shortcut(x))
        signs = self.pointwise_sign(y)
        parts = [convolve(signs) + y for convolve in self.pointwise]
        z: Tensor = self.activation(parts[0] if len(parts) == 1 else torch.cat(parts, dim=1))
        return z


@register_model(
    "reactnet-a",
    **IMAGENET,
    description="13 blocks of a binary 3x3 and one or two binary 1x1 convolutions",
    source="ReActNet (arXiv:2003.03488)",
    facts=Facts(29_343_592, 28_253_184, 4_816_896_000, 11_862_016, 69.4, "ImageNet, the paper"),
)
class ReActNet(ImageClassifier):
    """Images [N, in_channels, H, W] -> logits [N, num_classes].

    Args:
        widths: channels of the stem and of each block; a block that doubles them halves the image, the first excepted.
        scale: of the binary convolutions.
    """

    stem: nn.Sequential

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        image_size: int,
        *,
        widths: Sequence[int] = (32, 64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024),
        scale: Scale = "mean",
        precision: Precision = "binary",
    ) -> None:
        rows = list(doubling_stages(widths))
        convolution = nn.Conv2d(in_channels, widths[0], 3, 2, padding=1, bias=False)
        super().__init__(
            nn.Sequential(convolution, nn.BatchNorm2d(widths[0])),
            (ReActNetBlock(*row, precision, scale) for row in rows),
            widths[-1],
            num_classes,
        )
