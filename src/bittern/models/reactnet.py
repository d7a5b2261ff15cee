"""ReActNet-A: MobileNet whose depthwise layers became full 3x3 ones, with a shortcut around every binary convolution.

    y         = RPReLU(BatchNorm(mean|W| * conv3x3(RSign(x))) + shortcut(x))
    block(x)  = RPReLU(z),  z = BatchNorm(mean|W| * conv1x1(RSign(y))) + y

The shortcut is ``x``, or its 2x2 means where the block halves the image. Where it doubles the channels, ``z`` is the
concatenation of two such 1x1 convolutions of the same signs. Stem and classifier are real; no activation in the stem.

Liu et al. 2020, ReActNet, arXiv:2003.03488. Trained by the recipe of AdamBNN, arXiv:2106.11309, it reaches 70.5 %.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from bittern.models.precision import Precision, check_precision
from bittern.models.registry import IMAGENET, Facts, register_model
from bittern.nn import BinaryConv2d, RPReLU, RSign
from bittern.nn.channels import Scale


def _sign(channels: int, precision: Precision) -> nn.Module:
    return nn.Identity() if precision == "float" else RSign(channels)


def _activation(channels: int, precision: Precision) -> nn.Module:
    return nn.ReLU() if precision == "float" else RPReLU(channels)


def _convolve(channels: int, kernel_size: int, stride: int, precision: Precision, scale: Scale) -> nn.Sequential:
    conv = BinaryConv2d(
        channels,
        channels,
        kernel_size,
        stride,
        padding=kernel_size // 2,
        scale=scale,
        binarize_input=False,
        binarize_weight=precision == "binary",
    )
    return nn.Sequential(conv, nn.BatchNorm2d(channels))


class Block(nn.Module):
    """[N, in_channels, H, W] -> [N, out_channels, ceil(H / stride), ceil(W / stride)]; as many channels or twice."""

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, precision: Precision, scale: Scale = "mean"
    ) -> None:
        copies, rest = divmod(out_channels, in_channels)
        if rest or copies not in (1, 2):
            raise ValueError(f"a block keeps or doubles the channels, got {in_channels} -> {out_channels}")
        super().__init__()
        self.shortcut = nn.Identity() if stride == 1 else nn.AvgPool2d(stride, ceil_mode=True)
        self.spatial_sign = _sign(in_channels, precision)
        self.spatial = _convolve(in_channels, 3, stride, precision, scale)
        self.spatial_activation = _activation(in_channels, precision)
        self.pointwise_sign = _sign(in_channels, precision)
        self.pointwise = nn.ModuleList(_convolve(in_channels, 1, 1, precision, scale) for _ in range(copies))
        self.activation = _activation(out_channels, precision)

    def forward(self, x: Tensor) -> Tensor:
        y = self.spatial_activation(self.spatial(self.spatial_sign(x)) + self.shortcut(x))
        signs = self.pointwise_sign(y)
        parts = [convolve(signs) + y for convolve in self.pointwise]
        z: Tensor = self.activation(parts[0] if len(parts) == 1 else torch.cat(parts, dim=1))
        return z


class ReActNet(nn.Module):
    """Images [N, in_channels, H, W] -> logits [N, num_classes].

    Args:
        widths: channels of the stem and of each block; a block that doubles them halves the image, the first excepted.
        scale: of the binary convolutions.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        widths: Sequence[int],
        precision: Precision = "binary",
        *,
        scale: Scale = "mean",
    ) -> None:
        check_precision(precision)
        if len(widths) < 2:
            raise ValueError(f"widths must be those of the stem and of at least one block, got {widths}")
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, widths[0], 3, 2, padding=1, bias=False), nn.BatchNorm2d(widths[0])
        )
        self.blocks = nn.Sequential(
            *(
                Block(inputs, outputs, 2 if index > 0 and inputs != outputs else 1, precision, scale)
                for index, (inputs, outputs) in enumerate(pairwise(widths))
            )
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(widths[-1], num_classes)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.pool(self.blocks(self.stem(x))).flatten(1))
        return logits


@register_model(
    "reactnet-a",
    **IMAGENET,
    description="13 blocks of a binary 3x3 and one or two binary 1x1 convolutions",
    source="ReActNet (arXiv:2003.03488)",
    facts=Facts(29_343_592, 28_253_184, 4_816_896_000, 11_862_016, 69.4, "ImageNet, the paper"),
)
def reactnet_a(
    num_classes: int,
    in_channels: int,
    image_size: int,
    *,
    widths: Sequence[int] = (32, 64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024),
    scale: Scale = "mean",
    precision: Precision = "binary",
) -> ReActNet:
    return ReActNet(num_classes, in_channels, widths, precision, scale=scale)
