"""Small residual networks with a shortcut around every binary convolution and ReActNet's activations.

    block(x) = RPReLU(BatchNorm(conv3x3(RSign(x))) + shortcut(x))

The shortcut is ``x``, or where the block halves the image, a real 1x1 convolution of its 2x2 means. Stem and
classifier are real.

Liu et al. 2018, Bi-Real Net, arXiv:1808.00278 (one shortcut a convolution); Liu et al. 2020, ReActNet,
arXiv:2003.03488 (RSign, RPReLU).
"""

from collections.abc import Sequence

from torch import Tensor, nn

from bittern.models.precision import Precision, check_precision
from bittern.models.registry import register_model
from bittern.nn import BinaryConv2d, RPReLU, RSign

_SOURCE = "Bi-Real Net (arXiv:1808.00278) with the activations of ReActNet (arXiv:2003.03488)"


def _activation(channels: int, precision: Precision) -> nn.Module:
    return nn.ReLU() if precision == "float" else RPReLU(channels)


class Block(nn.Module):
    """[N, in_channels, H, W] -> [N, out_channels, ceil(H / stride), ceil(W / stride)]."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, precision: Precision) -> None:
        super().__init__()
        self.sign = nn.Identity() if precision == "float" else RSign(in_channels)
        self.conv = BinaryConv2d(
            in_channels,
            out_channels,
            3,
            stride,
            padding=1,
            binarize_input=False,
            binarize_weight=precision == "binary",
        )
        self.norm = nn.BatchNorm2d(out_channels)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.AvgPool2d(stride, ceil_mode=True),
                nn.Conv2d(in_channels, out_channels, 1, bias=False),
                nn.BatchNorm2d(out_channels),
            )
        self.activation = _activation(out_channels, precision)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.activation(self.norm(self.conv(self.sign(x))) + self.shortcut(x))
        return y


class ReActResNet(nn.Module):
    """Images [N, in_channels, H, W] -> logits [N, num_classes].

    Args:
        widths: channels of each stage; every stage but the first halves the image.
        depths: blocks, that is binary convolutions, of each stage.
        stem_stride: stride of the first convolution.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        widths: Sequence[int],
        depths: Sequence[int],
        stem_stride: int = 1,
        precision: Precision = "binary",
    ) -> None:
        check_precision(precision)
        if len(widths) != len(depths) or min(*widths, *depths) < 1:
            raise ValueError(f"widths and depths must be as many, each at least 1; got {widths} and {depths}")
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, widths[0], 3, stem_stride, padding=1, bias=False),
            nn.BatchNorm2d(widths[0]),
            _activation(widths[0], precision),
        )
        blocks: list[nn.Module] = []
        channels = widths[0]
        for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            for index in range(depth):
                stride = 2 if stage > 0 and index == 0 else 1
                blocks.append(Block(channels, width, stride, precision))
                channels = width
        self.blocks = nn.Sequential(*blocks)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.pool(self.blocks(self.stem(x))).flatten(1))
        return logits


@register_model(
    "digits-resnet",
    num_classes=10,
    in_channels=1,
    image_size=8,
    description="six binary 3x3 convolutions for 8x8 grey digits",
    source=_SOURCE,
)
def digits_resnet(
    num_classes: int,
    in_channels: int,
    image_size: int,
    *,
    widths: Sequence[int] = (64, 128),
    depths: Sequence[int] = (3, 3),
    precision: Precision = "binary",
) -> ReActResNet:
    return ReActResNet(num_classes, in_channels, widths, depths, precision=precision)


@register_model(
    "cifar-resnet",
    num_classes=10,
    in_channels=3,
    image_size=32,
    description="six binary 3x3 convolutions for 32x32 colour images",
    source=_SOURCE,
)
def cifar_resnet(
    num_classes: int,
    in_channels: int,
    image_size: int,
    *,
    widths: Sequence[int] = (64, 128, 256),
    depths: Sequence[int] = (2, 2, 2),
    stem_stride: int = 2,
    precision: Precision = "binary",
) -> ReActResNet:
    return ReActResNet(num_classes, in_channels, widths, depths, stem_stride, precision)
