"""MeliusNet: a binary convolution that appends channels, then one that improves those.

    dense(x)      = concat(x, conv3x3(sign(BatchNorm(x))))                        64 more channels
    improve(x)    = x with conv3x3(sign(BatchNorm(x))) added to its last 64 channels
    transition(x) = conv1x1(ReLU(maxpool2x2(BatchNorm(x))))                       half the size, fewer channels

The stem is three real 3x3 convolutions, the second in 4 groups and the third in 8, and max pooling.

Bethge et al. 2020, MeliusNet, arXiv:2001.05936; the constants are Larq Zoo's.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bittern.models.parts import binary_conv
from bittern.models.precision import Precision
from bittern.models.registry import IMAGENET, Facts, register_model
from bittern.nn import Conv2dSame, MaxPool2dSame

_SOURCE = "MeliusNet (arXiv:2001.05936)"
_ESTIMATOR = "ste_1.3"
_GROWTH = 64


def _convolve_signs(channels: int, precision: Precision) -> nn.Sequential:
    return nn.Sequential(
        nn.BatchNorm2d(channels),
        binary_conv(channels, _GROWTH, 3, precision, padding=1, estimator=_ESTIMATOR, weight_estimator=_ESTIMATOR),
    )


class MeliusBlock(nn.Module):
    """[N, channels, H, W] -> [N, channels + 64, H, W]: ``dense``, then ``improve``."""

    def __init__(self, channels: int, precision: Precision) -> None:
        super().__init__()
        self.dense = _convolve_signs(channels, precision)
        self.improve = _convolve_signs(channels + _GROWTH, precision)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([x, self.dense(x)], dim=1)
        return torch.cat([x[:, :-_GROWTH], x[:, -_GROWTH:] + self.improve(x)], dim=1)


def _stem(in_channels: int) -> nn.Sequential:
    return nn.Sequential(
        Conv2dSame(in_channels, 32, 3, 2, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.Conv2d(32, 32, 3, padding=1, groups=4, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3, padding=1, groups=8, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        MaxPool2dSame(2),
    )


def _transition(in_channels: int, out_channels: int) -> nn.Sequential:
    convolution = nn.Conv2d(in_channels, out_channels, 1, bias=False)
    return nn.Sequential(nn.BatchNorm2d(in_channels), MaxPool2dSame(2), nn.ReLU(), convolution)


@register_model(
    "meliusnet-22",
    **IMAGENET,
    description="17 pairs of binary 3x3 convolutions: one adds channels, one improves them",
    source=_SOURCE,
    facts=Facts(6_944_584, 6_119_424, 4_624_220_160, 136_388_608, 62.4, "ImageNet, Larq Zoo"),
)
class MeliusNet(nn.Module):
    """Images [N, in_channels, H, W] -> logits [N, num_classes].

    Args:
        depths: blocks, that is pairs of binary convolutions, of each stage.
        widths: channels after each transition.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        image_size: int,
        *,
        widths: Sequence[int] = (160, 224, 256),
        depths: Sequence[int] = (4, 5, 4, 4),
        precision: Precision = "binary",
    ) -> None:
        if len(depths) != len(widths) + 1 or min((*depths, *widths)) < 1:
            raise ValueError(f"there must be one width less than depths, each at least 1; got {widths} and {depths}")
        super().__init__()
        self.stem = _stem(in_channels)
        channels, layers = 64, list[nn.Module]()
        for stage, depth in enumerate(depths):
            if stage > 0:
                layers.append(_transition(channels, widths[stage - 1]))
                channels = widths[stage - 1]
            for _ in range(depth):
                layers.append(MeliusBlock(channels, precision))
                channels += _GROWTH
        self.stages = nn.Sequential(*layers)
        self.norm = nn.BatchNorm2d(channels)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        features = F.relu(self.norm(self.stages(self.stem(x))))
        logits: Tensor = self.classifier(self.pool(features).flatten(1))
        return logits
