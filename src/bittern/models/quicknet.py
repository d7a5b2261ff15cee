"""QuickNet: a binary residual network whose float parts are as cheap as its binary ones.

    block(x)      = x + BatchNorm(ReLU(conv3x3(sign(x))))                    same channels, padded with +1
    transition(x) = BatchNorm(conv1x1(blur(max2x2(ReLU(x)))))                half the size, other channels

The stem reduces images to a quarter of their size by a 3x3, a depthwise 3x3 and a 1x1 convolution. `blur` is a fixed
depthwise 3x3 binomial filter of stride 2.

Bannink et al. 2021, Larq Compute Engine, arXiv:2011.09398. ImageNet at 224x224, as published with the networks:

| name | blocks | filters | top-1 | parameters | binary |
|---|---|---|---|---|---|
| quicknet-small | 4, 4, 4, 4 | 32, 64, 256, 512 | 59.4 % | 12.66 M | 11.98 M |
| quicknet | 4, 4, 4, 4 | 64, 128, 256, 512 | 63.3 % | 13.23 M | 12.53 M |
| quicknet-large | 6, 8, 12, 6 | 64, 128, 256, 512 | 66.9 % | 23.34 M | 22.63 M |
"""

from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bittern.models.parts import binary_conv, check_stages, keras_norm
from bittern.models.precision import Precision
from bittern.models.registry import IMAGENET, Facts, register_model
from bittern.nn import Conv2dSame
from bittern.nn.same import pad_same

_row = partial(register_model, **IMAGENET, source="Larq Compute Engine (arXiv:2011.09398)")


class Blur(nn.Module):
    """[N, C, H, W] -> [N, C, ceil(H / 2), ceil(W / 2)]: the binomial filter (1, 2, 1) x (1, 2, 1) / 16, not trained."""

    kernel: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        binomial = torch.tensor([1.0, 2.0, 1.0])
        kernel = torch.outer(binomial, binomial) / 16
        self.register_buffer("kernel", kernel.expand(channels, 1, 3, 3).clone())

    def forward(self, x: Tensor) -> Tensor:
        x, padding = pad_same(x, (3, 3), (2, 2))
        return F.conv2d(x, self.kernel, stride=2, padding=padding, groups=x.shape[1])


class QuickNetBlock(nn.Module):
    """[N, channels, H, W] -> the same shape."""

    def __init__(self, channels: int, precision: Precision) -> None:
        super().__init__()
        self.conv = binary_conv(
            channels,
            channels,
            3,
            precision,
            real_activation="none",
            padding=1,
            estimator="ste_1.25",
            weight_estimator="ste_1.25",
            pad_value=1,
        )
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.norm(F.relu(self.conv(x)))
        return y


def _stem(in_channels: int, channels: int) -> nn.Module:
    first = max(1, channels // 4)
    return nn.Sequential(
        Conv2dSame(in_channels, first, 3, 2, bias=False),
        keras_norm(first),
        nn.ReLU(),
        Conv2dSame(first, first, 3, 2, groups=first, bias=False),
        keras_norm(first, affine=False),
        nn.Conv2d(first, channels, 1, bias=False),
        keras_norm(channels),
    )


def _transition(in_channels: int, out_channels: int) -> nn.Module:
    # ReLU after the pooling gives the same result, and XNNPACK fuses it into the pooling.
    return nn.Sequential(
        nn.MaxPool2d(2, 1),
        nn.ReLU(),
        Blur(in_channels),
        nn.Conv2d(in_channels, out_channels, 1, bias=False),
        nn.BatchNorm2d(out_channels),
    )


@_row(
    "quicknet-small",
    description="16 binary 3x3 convolutions and cheap float parts",
    facts=Facts(12_652_504, 11_980_800, 1_156_055_040, 15_941_120, 59.4, "ImageNet, Larq Zoo"),
    defaults={"widths": (32, 64, 256, 512), "depths": (4, 4, 4, 4)},
)
@_row(
    "quicknet",
    description="16 binary 3x3 convolutions and cheap float parts",
    facts=Facts(13_230_024, 12_533_760, 1_849_688_064, 29_651_712, 63.3, "ImageNet, Larq Zoo"),
    defaults={"widths": (64, 128, 256, 512), "depths": (4, 4, 4, 4)},
)
@_row(
    "quicknet-large",
    description="32 binary 3x3 convolutions and cheap float parts",
    facts=Facts(23_338_184, 22_634_496, 3_699_376_128, 29_651_712, 66.9, "ImageNet, Larq Zoo"),
    defaults={"widths": (64, 128, 256, 512), "depths": (6, 8, 12, 6)},
)
class QuickNet(nn.Module):
    """Images [N, in_channels, H, W] -> logits [N, num_classes].

    Args:
        widths: channels of each stage.
        depths: blocks, that is binary convolutions, of each stage.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        image_size: int,
        *,
        widths: Sequence[int],
        depths: Sequence[int],
        precision: Precision = "binary",
    ) -> None:
        check_stages(widths, depths)
        minimum = 4 * 2 ** (len(widths) - 1) - 1  # the stem quarters, a transition halves and needs 2 pixels
        if image_size < minimum:
            raise ValueError(f"image_size must be at least {minimum} for {len(widths)} stages, got {image_size}")
        super().__init__()
        self.stem = _stem(in_channels, widths[0])
        stages: list[nn.Module] = []
        for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            if stage > 0:
                stages.append(_transition(widths[stage - 1], width))
            stages.extend(QuickNetBlock(width, precision) for _ in range(depth))
        self.stages = nn.Sequential(*stages)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(widths[-1], num_classes)

    def forward(self, x: Tensor) -> Tensor:
        features = F.relu(self.stages(self.stem(x)))
        logits: Tensor = self.classifier(self.pool(features).flatten(1))
        return logits
