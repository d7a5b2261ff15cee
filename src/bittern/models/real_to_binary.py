"""Real-to-Binary Net and its Strong Baseline: BatchNorm in front of the sign, a scale and PReLU behind the convolution.

    block(x) = PReLU(s * conv3x3(sign(z))) + shortcut(x),   z = BatchNorm(x)

In Real-to-Binary Net ``s`` is ``Gate(z)``, factors per channel computed from the image; in the Strong Baseline it is a
``FactoredScale``, learned factors per channel, row and column. Stem, down-sampling shortcuts and classifier are real.
In a float network tanh replaces the sign.

Martinez et al. 2020, arXiv:2003.11535; the constants are Larq Zoo's.
"""

from collections.abc import Iterator, Sequence

from torch import Tensor, nn

from bittern.models.parts import (
    RESNET_18,
    RESNET_CIFAR,
    ImageClassifier,
    binary_conv,
    keras_norm,
    shortcut,
    stages,
    stem,
)
from bittern.models.precision import Precision
from bittern.models.registry import CIFAR10, IMAGENET, Facts, register_model
from bittern.nn import FactoredScale, Gate

_SOURCE = "Real-to-Binary Convolutions (arXiv:2003.11535)"


class RealToBinaryBlock(nn.Module):
    """[N, in_channels, H, W] -> [N, out_channels, ceil(H / stride), ceil(W / stride)].

    Args:
        scale: a ``Gate``, which reads the same input as the sign, or a ``FactoredScale``.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, scale: Gate | FactoredScale, precision: Precision
    ) -> None:
        super().__init__()
        self.norm = keras_norm(in_channels)
        self.conv = binary_conv(
            in_channels,
            out_channels,
            3,
            precision,
            real_activation="tanh",
            stride=stride,
            padding="same",
            estimator="ste",
        )
        self.scale = scale
        self.activation = nn.PReLU(out_channels, init=0.0)
        self.shortcut = shortcut(in_channels, out_channels, stride, keras_norm)

    def forward(self, x: Tensor) -> Tensor:
        z = self.norm(x)
        y = self.conv(z)
        y = y * self.scale(z) if isinstance(self.scale, Gate) else self.scale(y)
        result: Tensor = self.activation(y) + self.shortcut(x)
        return result


@register_model(
    "real-to-binary",
    **IMAGENET,
    description="16 binary 3x3 convolutions with scales computed from the image",
    source=_SOURCE,
    facts=Facts(11_986_920, 10_985_472, 1_676_279_808, 138_087_936, 65.01, "ImageNet, Larq Zoo"),
    defaults=RESNET_18,
    gated=True,
)
@register_model(
    "strong-baseline",
    **IMAGENET,
    description="16 binary 3x3 convolutions with learned scales per channel, row and column",
    source=_SOURCE + " with the scales of XNOR-Net++ (arXiv:1909.13863)",
    facts=Facts(11_697_200, 10_985_472, 1_676_279_808, 137_793_536, 60.9, "ImageNet, the paper"),
    defaults=RESNET_18,
    gated=False,
)
@register_model(
    "real-to-binary-cifar",
    **CIFAR10,
    description="six binary 3x3 convolutions for 32x32 colour images with scales computed from the image",
    source=_SOURCE,
    facts=Facts(1_258_378, 1_179_648, 188_743_680, 5_996_544),
    defaults=RESNET_CIFAR,
    gated=True,
)
class RealToBinaryNet(ImageClassifier):
    """Images [N, in_channels, image_size, image_size] -> logits [N, num_classes].

    Args:
        widths: channels of each stage; every stage but the first halves the image.
        depths: blocks, that is binary convolutions, of each stage.
        gated: scales that depend on the image; else those of the Strong Baseline.
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
        gated: bool,
    ) -> None:
        activation = nn.PReLU(widths[0], init=0.0)
        first = stem(in_channels, widths[0], image_size, norm=keras_norm, activation=activation, same=True)

        def blocks() -> Iterator[RealToBinaryBlock]:
            halvings = sum(getattr(layer, "stride", 1) in (2, (2, 2)) for layer in first)
            size = -(-image_size // 2**halvings)
            for inputs, outputs, stride in stages(widths[0], widths, depths):
                size = -(-size // stride)
                scale = Gate(inputs, outputs) if gated else FactoredScale(outputs, size, size)
                yield RealToBinaryBlock(inputs, outputs, stride, scale, precision)

        super().__init__(first, blocks(), widths[-1], num_classes)
