"""BinaryAlexNet: AlexNet with binary weights only, from the first convolution to the classifier.

    layer(x) = BatchNorm(maxpool(conv(sign(x))))                  three layers pool; the first reads the image itself

The dense layers are convolutions: the first covers the remaining image, which the source flattens. BatchNorm has no
factor; the last one gives the logits.

Hubara et al. 2016, Binarized Neural Networks, arXiv:1602.02830; the constants are Larq Zoo's.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from bittern.models.parts import binary_conv, check_count, conv_of_signs, size_behind_alexnet
from bittern.models.precision import Precision
from bittern.models.registry import IMAGENET, Facts, register_model
from bittern.nn import UnscaledBatchNorm2d


@register_model(
    "binary-alexnet",
    **IMAGENET,
    description="AlexNet with five convolutions and three dense layers of binary weights",
    source="Binarized Neural Networks (arXiv:1602.02830)",
    facts=Facts(61_838_248, 61_827_776, 768_512_000, 72_855_552, 36.3, "ImageNet, Larq Zoo"),
)
class BinaryAlexNet(nn.Module):
    """Images [N, in_channels, image_size, image_size] -> logits [N, num_classes].

    Args:
        widths: channels of the five convolutions and of the two hidden dense layers.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        image_size: int,
        *,
        widths: Sequence[int] = (64, 192, 384, 384, 256, 4096, 4096),
        precision: Precision = "binary",
    ) -> None:
        check_count(widths, 7)
        size = size_behind_alexnet(image_size)
        super().__init__()
        channels = [*widths, num_classes]

        def layer(index: int, kernel_size: int, padding: int, *, pool: bool = False) -> list[nn.Module]:
            inputs, outputs = channels[index - 1 : index + 1]
            conv = binary_conv(inputs, outputs, kernel_size, precision, padding=padding, estimator="ste")
            return [conv, *[nn.MaxPool2d(3, 2)] * pool, _norm(outputs)]

        self.features = nn.Sequential(
            conv_of_signs(in_channels, widths[0], 11, precision, stride=4, padding="same"),
            nn.MaxPool2d(3, 2),
            _norm(widths[0]),
            *layer(1, 5, 2, pool=True),
            *layer(2, 3, 1),
            *layer(3, 3, 1),
            *layer(4, 3, 1, pool=True),
        )
        self.classifier = nn.Sequential(*layer(5, size, 0), *layer(6, 1, 0), *layer(7, 1, 0))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(x)).flatten(1)
        return logits


def _norm(channels: int) -> nn.Module:
    return UnscaledBatchNorm2d(channels, eps=1e-3)
