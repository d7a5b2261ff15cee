"""Bi-Real Net: ResNet with a real-valued shortcut around every binary convolution.

    block(x) = BatchNorm(mean|W| * conv3x3(sign(x))) + shortcut(x)

No activation but the sign. Stem, down-sampling shortcuts and classifier are real.

Liu et al. 2018, arXiv:1808.00278. The official PyTorch code pads evenly. Larq Zoo's network of the same shape
(``bi-real-net-18-larq``) pads as Keras does and has other BatchNorm constants: the weights of one fit the other, but
the results differ.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn

from bittern.models.parts import Norm, binary_conv, shortcut, stages, stem
from bittern.models.precision import Precision
from bittern.models.registry import CIFAR10, IMAGENET, Facts, register_model

_SOURCE = "Bi-Real Net (arXiv:1808.00278)"
_LARQ_NORM = partial(nn.BatchNorm2d, eps=1e-3, momentum=0.2)


class Block(nn.Module):
    """[N, in_channels, H, W] -> [N, out_channels, ceil(H / stride), ceil(W / stride)]; ``options`` of BinaryConv2d."""

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, precision: Precision, norm: Norm, **options: Any
    ) -> None:
        super().__init__()
        self.conv = binary_conv(in_channels, out_channels, 3, precision, stride=stride, **options)
        self.norm = norm(out_channels)
        self.shortcut = shortcut(in_channels, out_channels, stride, norm)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(self.conv(x)) + self.shortcut(x)
        return y


class BiRealNet(nn.Module):
    """Images [N, in_channels, H, W] -> logits [N, num_classes].

    Args:
        widths: channels of each stage; every stage but the first halves the image.
        depths: blocks, that is binary convolutions, of each stage.
        larq: padding and BatchNorm of Larq Zoo instead of the official code's.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        image_size: int,
        widths: Sequence[int],
        depths: Sequence[int],
        precision: Precision = "binary",
        *,
        larq: bool = False,
    ) -> None:
        super().__init__()
        norm: Norm = _LARQ_NORM if larq else nn.BatchNorm2d
        padding = "same" if larq else 1
        self.stem = stem(in_channels, widths[0], image_size, norm=norm, same=larq)
        self.blocks = nn.Sequential(
            *(Block(*row, precision, norm, padding=padding, scale="mean") for row in stages(widths[0], widths, depths))
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(widths[-1], num_classes)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.pool(self.blocks(self.stem(x))).flatten(1))
        return logits


@register_model(
    "bi-real-net-18",
    **IMAGENET,
    description="16 binary 3x3 convolutions with a shortcut each",
    source=_SOURCE,
    facts=Facts(11_689_512, 10_985_472, 1_676_279_808, 137_793_536, 56.4, "ImageNet, the paper"),
)
def bi_real_net_18(
    num_classes: int,
    in_channels: int,
    image_size: int,
    *,
    widths: Sequence[int] = (64, 128, 256, 512),
    depths: Sequence[int] = (4, 4, 4, 4),
    precision: Precision = "binary",
) -> BiRealNet:
    return BiRealNet(num_classes, in_channels, image_size, widths, depths, precision)


@register_model(
    "bi-real-net-34",
    **IMAGENET,
    description="32 binary 3x3 convolutions with a shortcut each",
    source=_SOURCE,
    facts=Facts(21_797_672, 21_086_208, 3_525_967_872, 137_793_536, 62.2, "ImageNet, the paper"),
)
def bi_real_net_34(
    num_classes: int,
    in_channels: int,
    image_size: int,
    *,
    widths: Sequence[int] = (64, 128, 256, 512),
    depths: Sequence[int] = (6, 8, 12, 6),
    precision: Precision = "binary",
) -> BiRealNet:
    return BiRealNet(num_classes, in_channels, image_size, widths, depths, precision)


@register_model(
    "bi-real-net-18-larq",
    **IMAGENET,
    description="bi-real-net-18 with the padding and the BatchNorm of Larq Zoo",
    source=_SOURCE,
    facts=Facts(11_689_512, 10_985_472, 1_676_279_808, 137_793_536, 57.47, "ImageNet, Larq Zoo"),
)
def bi_real_net_18_larq(
    num_classes: int,
    in_channels: int,
    image_size: int,
    *,
    widths: Sequence[int] = (64, 128, 256, 512),
    depths: Sequence[int] = (4, 4, 4, 4),
    precision: Precision = "binary",
) -> BiRealNet:
    return BiRealNet(num_classes, in_channels, image_size, widths, depths, precision, larq=True)


@register_model(
    "bi-real-net-cifar",
    **CIFAR10,
    description="six binary 3x3 convolutions for 32x32 colour images",
    source=_SOURCE,
    facts=Facts(1_227_594, 1_179_648, 188_743_680, 5_966_336),
)
def bi_real_net_cifar(
    num_classes: int,
    in_channels: int,
    image_size: int,
    *,
    widths: Sequence[int] = (64, 128, 256),
    depths: Sequence[int] = (2, 2, 2),
    precision: Precision = "binary",
) -> BiRealNet:
    return BiRealNet(num_classes, in_channels, image_size, widths, depths, precision)
