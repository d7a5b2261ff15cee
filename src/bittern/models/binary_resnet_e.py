"""BinaryResNetE: the blocks of Bi-Real Net without weight scales, and a stem with a second BatchNorm.

    block(x) = BatchNorm(conv3x3(sign(x))) + shortcut(x)

Stem, down-sampling shortcuts and classifier are real.

Bethge et al. 2019, Back to Simplicity, arXiv:1906.08637; the constants are Larq Zoo's.
"""

from collections.abc import Sequence
from typing import Any

from torch import nn

from bittern.models.bi_real_net import BiRealBlock
from bittern.models.parts import RESNET_18, RESNET_CIFAR, SMALL, ImageClassifier, stages, stem
from bittern.models.precision import Precision
from bittern.models.registry import CIFAR10, IMAGENET, Facts, register_model

_SOURCE = "Back to Simplicity (arXiv:1906.08637)"
_ESTIMATOR = "ste_1.25"


@register_model(
    "binary-resnet-e-18",
    **IMAGENET,
    description="16 binary 3x3 convolutions with a shortcut each",
    source=_SOURCE,
    facts=Facts(11_689_640, 10_985_472, 1_676_279_808, 137_793_536, 58.32, "ImageNet, Larq Zoo"),
    defaults=RESNET_18,
)
@register_model(
    "binary-resnet-e-cifar",
    **CIFAR10,
    description="six binary 3x3 convolutions for 32x32 colour images",
    source=_SOURCE,
    facts=Facts(1_227_466, 1_179_648, 188_743_680, 5_966_336),
    defaults=RESNET_CIFAR,
)
class BinaryResNetE(ImageClassifier):
    """Images [N, in_channels, H, W] -> logits [N, num_classes].

    Args:
        widths: channels of each stage; every stage but the first halves the image.
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
        if image_size < SMALL:
            first: nn.Module = nn.Conv2d(in_channels, widths[0], 3, padding=1, bias=False)
        else:
            resnet = stem(in_channels, widths[0], image_size, activation=nn.ReLU(), same=True)
            first = nn.Sequential(*resnet, nn.BatchNorm2d(widths[0]))
        options: dict[str, Any] = {"padding": "same", "estimator": _ESTIMATOR, "weight_estimator": _ESTIMATOR}
        super().__init__(
            first,
            (BiRealBlock(*row, precision, nn.BatchNorm2d, **options) for row in stages(widths[0], widths, depths)),
            widths[-1],
            num_classes,
            activation=nn.ReLU(),
        )
