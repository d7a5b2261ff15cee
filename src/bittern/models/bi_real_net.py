"""Bi-Real Net: ResNet with a real-valued shortcut around every binary convolution.

    block(x) = BatchNorm(mean|W| * conv3x3(sign(x))) + shortcut(x)

The sign is the only activation. Stem, down-sampling shortcuts and classifier are real.

Liu et al. 2018, arXiv:1808.00278. The official PyTorch code pads evenly. Larq Zoo's network of the same shape
(``bi-real-net-18-larq``) pads as Keras does and has other BatchNorm constants: the weights of either load into the
other, but the results differ.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn

from bittern.models.parts import (
    RESNET_18,
    RESNET_34,
    RESNET_CIFAR,
    ImageClassifier,
    Norm,
    binary_conv,
    shortcut,
    stages,
    stem,
)
from bittern.models.precision import Precision
from bittern.models.registry import CIFAR10, IMAGENET, Facts, register_model

_SOURCE = "Bi-Real Net (arXiv:1808.00278)"
_LARQ_NORM = partial(nn.BatchNorm2d, eps=1e-3, momentum=0.2)


class BiRealBlock(nn.Module):
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


@register_model(
    "bi-real-net-18",
    **IMAGENET,
    description="16 binary 3x3 convolutions with a shortcut each",
    source=_SOURCE,
    facts=Facts(11_689_512, 10_985_472, 1_676_279_808, 137_793_536, 56.4, "ImageNet, the paper"),
    defaults=RESNET_18,
    larq=False,
)
@register_model(
    "bi-real-net-34",
    **IMAGENET,
    description="32 binary 3x3 convolutions with a shortcut each",
    source=_SOURCE,
    facts=Facts(21_797_672, 21_086_208, 3_525_967_872, 137_793_536, 62.2, "ImageNet, the paper"),
    defaults=RESNET_34,
    larq=False,
)
@register_model(
    "bi-real-net-18-larq",
    **IMAGENET,
    description="bi-real-net-18 with the padding and the BatchNorm of Larq Zoo",
    source=_SOURCE,
    facts=Facts(11_689_512, 10_985_472, 1_676_279_808, 137_793_536, 57.47, "ImageNet, Larq Zoo"),
    defaults=RESNET_18,
    larq=True,
)
@register_model(
    "bi-real-net-cifar",
    **CIFAR10,
    description="six binary 3x3 convolutions for 32x32 colour images",
    source=_SOURCE,
    facts=Facts(1_227_594, 1_179_648, 188_743_680, 5_966_336),
    defaults=RESNET_CIFAR,
    larq=False,
)
class BiRealNet(ImageClassifier):
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
        *,
        widths: Sequence[int],
        depths: Sequence[int],
        precision: Precision = "binary",
        larq: bool,
    ) -> None:
        norm: Norm = _LARQ_NORM if larq else nn.BatchNorm2d
        padding = "same" if larq else 1
        super().__init__(
            stem(in_channels, widths[0], image_size, norm=norm, same=larq),
            (
                BiRealBlock(*row, precision, norm, padding=padding, scale="mean")
                for row in stages(widths[0], widths, depths)
            ),
            widths[-1],
            num_classes,
        )
