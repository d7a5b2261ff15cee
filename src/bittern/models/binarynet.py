"""BinaryNet: a VGG for CIFAR-10 with binary weights only, on which Bop was evaluated.

    layer(x) = BatchNorm(maxpool(layer(sign(x))))                 three of six convolutions pool; three dense layers

The first layer reads the image itself, without padding. BatchNorm has no factor; the last one gives the logits.

Helwegen et al. 2019, Latent Weights Do Not Exist, arXiv:1906.02107, section 5.2, after Courbariaux et al. 2016,
arXiv:1602.02830.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from bittern.models.parts import binary_conv, binary_linear, check_count, check_image_size, conv_of_signs
from bittern.models.precision import Precision
from bittern.models.registry import CIFAR10, Facts, register_model
from bittern.nn import UnscaledBatchNorm1d, UnscaledBatchNorm2d

_EPS, _MOMENTUM = 1e-3, 0.01
_POOLED = (1, 3, 5)


@register_model(
    "binarynet",
    **CIFAR10,
    description="VGG with six convolutions and three dense layers of binary weights",
    source="Latent Weights Do Not Exist (arXiv:1906.02107)",
    facts=Facts(10_355_850, 10_352_000, 510_961_664, 3_110_400, 91.3, "CIFAR-10, the paper"),
)
class BinaryNet(nn.Module):
    """Images [N, in_channels, image_size, image_size] -> logits [N, num_classes].

    Args:
        widths: channels of the six convolutions and of the two hidden dense layers.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        image_size: int,
        *,
        widths: Sequence[int] = (128, 128, 256, 256, 512, 512, 1024, 1024),
        precision: Precision = "binary",
    ) -> None:
        check_count(widths, 8)
        check_image_size(image_size, 10)
        super().__init__()
        first = conv_of_signs(in_channels, widths[0], 3, precision)
        features: list[nn.Module] = [first, UnscaledBatchNorm2d(widths[0], _EPS, _MOMENTUM)]
        for index in range(1, 6):
            inputs, outputs = widths[index - 1 : index + 1]
            features.append(binary_conv(inputs, outputs, 3, precision, padding=1, estimator="ste"))
            features += [nn.MaxPool2d(2)] * (index in _POOLED)
            features.append(UnscaledBatchNorm2d(outputs, _EPS, _MOMENTUM))
        self.features = nn.Sequential(*features)
        dense: list[nn.Module] = []
        inputs = widths[5] * ((image_size - 2) // 8) ** 2
        for outputs in (*widths[6:], num_classes):
            dense.append(binary_linear(inputs, outputs, precision, estimator="ste"))
            dense.append(UnscaledBatchNorm1d(outputs, _EPS, _MOMENTUM))
            inputs = outputs
        self.classifier = nn.Sequential(*dense)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(x).flatten(1))
        return logits
