"""BinaryDenseNet: every binary convolution appends channels to its input.

    block(x)      = concat(x, conv3x3(sign(BatchNorm(x))))                        64 more channels
    transition(x) = conv1x1(ReLU(maxpool2x2(BatchNorm(x))))                       half the size, fewer channels

Stem, transitions and classifier are real. The dilated network keeps the size in its last stages:
there is no pooling in front of a stage with dilated convolutions.

Bethge et al. 2019, Back to Simplicity, arXiv:1906.08637; the constants are Larq Zoo's.
"""

from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bittern.models.parts import SMALL, binary_conv, check_image_size, stem
from bittern.models.precision import Precision
from bittern.models.registry import IMAGENET, Facts, register_model

_ESTIMATOR = "ste_1.3"

_row = partial(register_model, **IMAGENET, source="Back to Simplicity (arXiv:1906.08637)")


class DenseBlock(nn.Module):
    """[N, channels, H, W] -> [N, channels + growth, H, W]."""

    def __init__(self, channels: int, growth: int, dilation: int, precision: Precision) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.conv = binary_conv(
            channels,
            growth,
            3,
            precision,
            padding=dilation,
            dilation=dilation,
            estimator=_ESTIMATOR,
            weight_estimator=_ESTIMATOR,
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.conv(self.norm(x))], dim=1)


def transition(in_channels: int, out_channels: int, *, halve: bool) -> nn.Sequential:
    """[N, in_channels, H, W] -> [N, out_channels, H / 2, W / 2], or H, W unless ``halve``."""
    pool = [nn.MaxPool2d(2)] if halve else []
    convolution = nn.Conv2d(in_channels, out_channels, 1, bias=False)
    return nn.Sequential(nn.BatchNorm2d(in_channels), *pool, nn.ReLU(), convolution)


@_row(
    "binary-densenet-28",
    description="23 binary 3x3 convolutions, each of 64 channels more",
    facts=Facts(5_131_496, 4_202_496, 3_587_383_296, 202_484_224, 60.91, "ImageNet, Larq Zoo"),
    defaults={"depths": (6, 6, 6, 5)},
    reductions=(2.7, 2.7, 2.2),
    dilations=(1, 1, 1, 1),
)
@_row(
    "binary-densenet-37",
    description="32 binary 3x3 convolutions, each of 64 channels more",
    facts=Facts(8_702_248, 7_593_984, 4_506_808_320, 199_738_368, 62.89, "ImageNet, Larq Zoo"),
    defaults={"depths": (6, 8, 12, 6)},
    reductions=(3.3, 3.3, 4),
    dilations=(1, 1, 1, 1),
)
@_row(
    "binary-densenet-37-dilated",
    description="binary-densenet-37 whose last stages are dilated instead of halved",
    facts=Facts(8_702_248, 7_593_984, 7_774_470_144, 452_625_408, 64.34, "ImageNet, Larq Zoo"),
    defaults={"depths": (6, 8, 12, 6)},
    reductions=(3.3, 3.3, 4),
    dilations=(1, 1, 2, 4),
)
@_row(
    "binary-densenet-45",
    description="40 binary 3x3 convolutions, each of 64 channels more",
    facts=Facts(13_889_512, 12_349_440, 6_430_556_160, 244_103_424, 64.59, "ImageNet, Larq Zoo"),
    defaults={"depths": (6, 12, 14, 8)},
    reductions=(2.7, 3.3, 4),
    dilations=(1, 1, 1, 1),
)
class BinaryDenseNet(nn.Module):
    """Images [N, in_channels, H, W] -> logits [N, num_classes].

    Args:
        depths: blocks, that is binary convolutions, of each stage.
        reductions: divisors of the channels at each transition; quotients are rounded to a multiple of 32.
        dilations: of each stage's convolutions.
        channels: of the stem. ``growth``: of each binary convolution.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        image_size: int,
        *,
        depths: Sequence[int],
        reductions: Sequence[float],
        dilations: Sequence[int],
        channels: int = 64,
        growth: int = 64,
        precision: Precision = "binary",
    ) -> None:
        if not len(depths) == len(dilations) == len(reductions) + 1 or min(*depths, *dilations) < 1:
            raise ValueError(
                f"depths, dilations and reductions must be n, n and n - 1, each at least 1; "
                f"got {depths}, {dilations} and {reductions}"
            )
        check_image_size(image_size, 2 ** sum(dilation == 1 for dilation in dilations[1:]))
        super().__init__()
        if image_size < SMALL:
            self.stem: nn.Module = nn.Conv2d(in_channels, channels, 3, padding=1, bias=False)
        else:
            self.stem = stem(in_channels, channels, image_size, activation=nn.ReLU(), same=True)
        layers: list[nn.Module] = []
        for stage, (depth, dilation) in enumerate(zip(depths, dilations, strict=True)):
            if stage > 0:
                reduced = round(channels // reductions[stage - 1] / 32) * 32
                layers.append(transition(channels, reduced, halve=dilation == 1))
                channels = reduced
            for _ in range(depth):
                layers.append(DenseBlock(channels, growth, dilation, precision))
                channels += growth
        self.stages = nn.Sequential(*layers)
        self.norm = nn.BatchNorm2d(channels)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        features = F.relu(self.norm(self.stages(self.stem(x))))
        logits: Tensor = self.classifier(self.pool(features).flatten(1))
        return logits
