"""Residual networks with a shortcut around every binary convolution and ReActNet's activations.

    block(x) = RPReLU(BatchNorm(s * conv3x3(RSign(x))) + shortcut(x))

The shortcut is ``x``, or where the block halves the image, a real 1x1 convolution of its 2x2 means. Stem and
classifier are real. ReAct-ResNet-18 has ``s`` = mean |W| and the 7x7 stem of ResNet; the small ones have neither.

Liu et al. 2018, Bi-Real Net, arXiv:1808.00278 (one shortcut per convolution); Liu et al. 2020, ReActNet,
arXiv:2003.03488 (RSign, RPReLU).
"""

from collections.abc import Sequence

from torch import Tensor, nn

from bittern.models.parts import (
    RESNET_18,
    RESNET_CIFAR,
    ImageClassifier,
    conv_of_signs,
    shifted_prelu,
    shortcut,
    stages,
    stem,
    threshold,
)
from bittern.models.precision import Precision, check_precision
from bittern.models.registry import CIFAR10, IMAGENET, Facts, register_model
from bittern.nn.channels import Scale

_SOURCE = "Bi-Real Net (arXiv:1808.00278) with the activations of ReActNet (arXiv:2003.03488)"


class ReActResNetBlock(nn.Module):
    """[N, in_channels, H, W] -> [N, out_channels, ceil(H / stride), ceil(W / stride)]."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, precision: Precision, scale: Scale) -> None:
        super().__init__()
        self.sign = threshold(in_channels, precision)
        self.conv = conv_of_signs(in_channels, out_channels, 3, precision, stride=stride, padding=1, scale=scale)
        self.norm = nn.BatchNorm2d(out_channels)
        self.shortcut = shortcut(in_channels, out_channels, stride)
        self.activation = shifted_prelu(out_channels, precision)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.activation(self.norm(self.conv(self.sign(x))) + self.shortcut(x))
        return y


@register_model(
    "digits-resnet",
    num_classes=10,
    in_channels=1,
    image_size=8,
    description="six binary 3x3 convolutions for 8x8 grey digits",
    source=_SOURCE,
    facts=Facts(493_258, 479_232, 12_976_128, 169_216),
    defaults={"widths": (64, 128), "depths": (3, 3)},
    stem_stride=1,
    scale="none",
)
@register_model(
    "cifar-resnet",
    **CIFAR10,
    description="six binary 3x3 convolutions for 32x32 colour images",
    source=_SOURCE,
    facts=Facts(1_231_178, 1_179_648, 47_185_920, 1_493_504),
    defaults={**RESNET_CIFAR, "stem_stride": 2},
    scale="none",
)
@register_model(
    "react-resnet-18",
    **IMAGENET,
    description="16 binary 3x3 convolutions with a shortcut each, learned thresholds and activations",
    source="ReActNet (arXiv:2003.03488) on Bi-Real Net (arXiv:1808.00278)",
    facts=Facts(11_704_424, 10_985_472, 1_676_279_808, 137_793_536, 65.5, "ImageNet, the paper of ReActNet"),
    defaults=RESNET_18,
    stem_stride=None,
    scale="mean",
)
class ReActResNet(ImageClassifier):
    """Images [N, in_channels, H, W] -> logits [N, num_classes].

    Args:
        widths: channels of each stage; every stage but the first halves the image.
        depths: blocks, that is binary convolutions, of each stage.
        stem_stride: of a stem of 3x3 convolution, BatchNorm and RPReLU; None for ResNet's stem, without activation.
        scale: of the binary convolutions.
    """

    stem: nn.Sequential

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        image_size: int,
        *,
        widths: Sequence[int],
        depths: Sequence[int],
        stem_stride: int | None,
        precision: Precision = "binary",
        scale: Scale,
    ) -> None:
        check_precision(precision)
        rows = list(stages(widths[0], widths, depths))
        if stem_stride is None:
            first = stem(in_channels, widths[0], image_size)
        else:
            first = nn.Sequential(
                nn.Conv2d(in_channels, widths[0], 3, stem_stride, padding=1, bias=False),
                nn.BatchNorm2d(widths[0]),
                shifted_prelu(widths[0], precision),
            )
        super().__init__(first, (ReActResNetBlock(*row, precision, scale) for row in rows), widths[-1], num_classes)
