"""BNext: ReActNet's skeleton, with a gate, a product or two shortcuts around every binary convolution.

    h(x)         = PReLU(BatchNorm(conv(RSign(x))))
    process(x)   = h * Gate(mix * x + (1 - mix) * h)                              mix: learned, per channel
    attention(x) = BatchNorm(process(x) * r) + r,   r = PReLU(x)
    forward(x)   = BatchNorm(process(x)) + x

A block is ``attention``, or in every other block ``forward``, with a 3x3 convolution, and ``forward`` with a 1x1
convolution. Where the 3x3 convolution halves the image, the other terms are 2x2 means. Where the block doubles the
channels, two such 1x1 halves are concatenated. Stem and classifier are real, PReLU stands in front of the pooling.

Guo et al. 2022, Join the High Accuracy Club on ImageNet, arXiv:2211.12933. The authors' code has PReLUs that nothing
uses; they are left out. Clipping ``mix`` to [0, 1] and latent weights to [-1.5, 1.5] belongs to a training loop.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from bittern.models.parts import SMALL
from bittern.models.precision import Precision, check_precision
from bittern.models.registry import IMAGENET, Facts, register_model
from bittern.nn import BinaryConv2d, Gate, RSign
from bittern.nn.channels import per_channel


class Unit(nn.Module):
    """[N, channels, H, W] -> [N, channels, ceil(H / stride), ceil(W / stride)].

    Args:
        attention: ``attention`` instead of ``forward``.
    """

    def __init__(
        self, channels: int, kernel_size: int, stride: int, precision: Precision, *, attention: bool = False
    ) -> None:
        super().__init__()
        self.pool = nn.Identity() if stride == 1 else nn.AvgPool2d(stride, ceil_mode=True)
        self.sign = nn.Identity() if precision == "float" else RSign(channels, estimator="ste_1.5")
        self.conv = BinaryConv2d(
            channels,
            channels,
            kernel_size,
            stride,
            padding=kernel_size // 2,
            weight_estimator="identity",
            binarize_input=False,
            binarize_weight=precision == "binary",
        )
        self.norm = nn.BatchNorm2d(channels)
        self.activation = nn.PReLU(channels)
        self.mix = nn.Parameter(torch.full((channels,), 0.5))
        self.gate = Gate(channels, channels, bias=True)
        self.factor = nn.PReLU(channels) if attention else None
        self.last_norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        h = self.activation(self.norm(self.conv(self.sign(x))))
        mix = per_channel(self.mix, h)
        pooled = self.pool(x)
        y = h * self.gate(mix * pooled + (1 - mix) * h)
        if self.factor is not None:
            pooled = self.pool(self.factor(x))
            y = y * pooled
        result: Tensor = self.last_norm(y) + pooled
        return result


class Block(nn.Module):
    """[N, in_channels, H, W] -> [N, out_channels, ceil(H / stride), ceil(W / stride)]; as many channels or twice."""

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, precision: Precision, *, attention: bool
    ) -> None:
        copies, rest = divmod(out_channels, in_channels)
        if rest or copies not in (1, 2):
            raise ValueError(f"a block keeps or doubles the channels, got {in_channels} -> {out_channels}")
        super().__init__()
        self.spatial = Unit(in_channels, 3, stride, precision, attention=attention)
        self.pointwise = nn.ModuleList(Unit(in_channels, 1, 1, precision) for _ in range(copies))

    def forward(self, x: Tensor) -> Tensor:
        y = self.spatial(x)
        parts = [unit(y) for unit in self.pointwise]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


class BNext(nn.Module):
    """Images [N, in_channels, H, W] -> logits [N, num_classes].

    Args:
        widths: channels of the stem and of each block; a block that doubles them halves the image, the first excepted.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        image_size: int,
        widths: Sequence[int],
        precision: Precision = "binary",
    ) -> None:
        check_precision(precision)
        if len(widths) < 2:
            raise ValueError(f"widths must be those of the stem and of at least one block, got {widths}")
        super().__init__()
        stride = 1 if image_size < SMALL else 2
        convolution = nn.Conv2d(in_channels, widths[0], 3, stride, padding=1, bias=False)
        self.stem = nn.Sequential(convolution, nn.BatchNorm2d(widths[0]))
        blocks = []
        for index, (inputs, outputs) in enumerate(pairwise(widths)):
            halves = index > 0 and inputs != outputs
            blocks.append(Block(inputs, outputs, 2 if halves else 1, precision, attention=index % 2 == 1))
        self.blocks = nn.Sequential(*blocks)
        self.activation = nn.PReLU(widths[-1])
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(widths[-1], num_classes)

    def forward(self, x: Tensor) -> Tensor:
        features = self.activation(self.blocks(self.stem(x)))
        logits: Tensor = self.classifier(self.pool(features).flatten(1))
        return logits


@register_model(
    "bnext-t",
    **IMAGENET,
    description="13 blocks of a binary 3x3 and one or two binary 1x1 convolutions, gated by what the image holds",
    source="BNext (arXiv:2211.12933)",
    facts=Facts(30_853_276, 28_253_184, 4_816_896_000, 13_344_512, 72.4, "ImageNet, the authors' code"),
)
def bnext_t(
    num_classes: int,
    in_channels: int,
    image_size: int,
    *,
    widths: Sequence[int] = (32, 64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024),
    precision: Precision = "binary",
) -> BNext:
    return BNext(num_classes, in_channels, image_size, widths, precision)
