"""Parts that several architectures share: binary layers in every precision, stems, shortcuts, stages, the whole."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, Literal

from torch import Tensor, nn

from bittern.models.precision import Precision, check_precision
from bittern.nn import BinaryConv2d, BinaryLinear, Conv2dSame, MaxPool2dSame, RPReLU, RSign

SMALL = 50
"""Images of fewer pixels a side get a stem of one 3x3 convolution, as in Larq Zoo."""

RESNET_18 = {"widths": (64, 128, 256, 512), "depths": (4, 4, 4, 4)}
RESNET_34 = {"widths": (64, 128, 256, 512), "depths": (6, 8, 12, 6)}
RESNET_CIFAR = {"widths": (64, 128, 256), "depths": (2, 2, 2)}
"""``widths`` and ``depths`` of ``stages``, counted in 3x3 convolutions."""

Norm = Callable[[int], nn.Module]
"""Makes the BatchNorm for a number of channels."""

keras_norm = partial(nn.BatchNorm2d, eps=1e-3, momentum=0.01)
"""Keras' BatchNormalization with its defaults; torch's momentum is 1 - Keras'."""


class ImageClassifier(nn.Module):
    """Images [N, in_channels, H, W] -> logits [N, num_classes]::

    y = classifier(mean over H and W of activation(blocks(stem(x))))

    Args:
        channels: of the last block.
        activation: None for the identity.
    """

    def __init__(
        self,
        stem: nn.Module,
        blocks: Iterable[nn.Module],
        channels: int,
        num_classes: int,
        activation: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.stem = stem
        self.blocks = nn.Sequential(*blocks)
        self.activation = activation
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(self.stem(x))
        if self.activation is not None:
            x = self.activation(x)
        logits: Tensor = self.classifier(self.pool(x).flatten(1))
        return logits


class _ReluConv2d(BinaryConv2d):
    """What replaces a binary convolution in a float network: ReLU instead of the sign, and real weights."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.relu())


class _TanhConv2d(BinaryConv2d):
    """As ``_ReluConv2d``, with tanh instead of the sign."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.tanh())


class _ReluLinear(BinaryLinear):
    """What replaces a binary linear layer in a float network: ReLU instead of the sign, and real weights."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.relu())


_REAL_CONV = {"relu": _ReluConv2d, "tanh": _TanhConv2d, "none": BinaryConv2d}
_REAL_LINEAR = {"relu": _ReluLinear, "none": BinaryLinear}


def binary_conv(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    precision: Precision,
    *,
    real_activation: Literal["relu", "tanh", "none"] = "relu",
    **options: Any,
) -> BinaryConv2d:
    """``BinaryConv2d``; in a float network a real convolution behind ``real_activation``."""
    kind = _REAL_CONV[real_activation] if precision == "float" else BinaryConv2d
    return kind(in_channels, out_channels, kernel_size, **_binarize(precision), **options)


def conv_of_signs(
    in_channels: int, out_channels: int, kernel_size: int, precision: Precision, **options: Any
) -> BinaryConv2d:
    """``BinaryConv2d`` that takes its input as it is: behind a ``threshold``, or as the first layer."""
    binarize = {**_binarize(precision), "binarize_input": False}
    return BinaryConv2d(in_channels, out_channels, kernel_size, **binarize, **options)


def binary_linear(
    in_features: int,
    out_features: int,
    precision: Precision,
    *,
    real_activation: Literal["relu", "none"] = "relu",
    **options: Any,
) -> BinaryLinear:
    """``BinaryLinear``; in a float network a real linear layer behind ``real_activation``."""
    kind = _REAL_LINEAR[real_activation] if precision == "float" else BinaryLinear
    return kind(in_features, out_features, **_binarize(precision), **options)


def _binarize(precision: Precision) -> dict[str, Any]:
    check_precision(precision)
    return {"binarize_input": precision != "float", "binarize_weight": precision == "binary"}


def threshold(channels: int, precision: Precision, **options: Any) -> nn.Module:
    """``RSign``; the identity in a float network."""
    return nn.Identity() if precision == "float" else RSign(channels, **options)


def shifted_prelu(channels: int, precision: Precision) -> nn.Module:
    """``RPReLU``; ReLU in a float network."""
    return nn.ReLU() if precision == "float" else RPReLU(channels)


def stem(
    in_channels: int,
    channels: int,
    image_size: int,
    *,
    norm: Norm = nn.BatchNorm2d,
    activation: nn.Module | None = None,
    same: bool = False,
) -> nn.Sequential:
    """[N, in_channels, H, W] -> [N, channels, H / 4, W / 4]: real 7x7 convolution, norm, activation, max pooling.

    A ``SMALL`` image keeps its size: 3x3 convolution, norm, activation.

    Args:
        same: pads as Keras does, instead of evenly on both sides.
    """
    if image_size < SMALL:
        layers = [nn.Conv2d(in_channels, channels, 3, padding=1, bias=False), norm(channels), activation]
    elif same:
        conv = Conv2dSame(in_channels, channels, 7, 2, bias=False)
        layers = [conv, norm(channels), activation, MaxPool2dSame(3, 2)]
    else:
        wide = nn.Conv2d(in_channels, channels, 7, 2, padding=3, bias=False)
        layers = [wide, norm(channels), activation, nn.MaxPool2d(3, 2, padding=1)]
    return nn.Sequential(*(layer for layer in layers if layer is not None))


def shortcut(in_channels: int, out_channels: int, stride: int, norm: Norm = nn.BatchNorm2d) -> nn.Module:
    """The identity; where the shape changes, a real 1x1 convolution of ``stride`` x ``stride`` means."""
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return nn.Sequential(
        nn.AvgPool2d(stride, ceil_mode=True),
        nn.Conv2d(in_channels, out_channels, 1, bias=False),
        norm(out_channels),
    )


def stages(channels: int, widths: Sequence[int], depths: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """``(in_channels, out_channels, stride)`` of every block; each stage but the first halves the image.

    Args:
        channels: of the stem.
        widths: channels of each stage.
        depths: blocks of each stage.
    """
    check_stages(widths, depths)
    for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        for index in range(depth):
            yield channels, width, 2 if stage > 0 and index == 0 else 1
            channels = width


def check_stages(widths: Sequence[int], depths: Sequence[int]) -> None:
    """ValueError unless there is a width for each depth, at least one of both, and each is at least 1."""
    if not widths or len(widths) != len(depths) or min(*widths, *depths) < 1:
        raise ValueError(f"widths and depths must be as many, each at least 1; got {widths} and {depths}")


def doubling_stages(widths: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """``(in_channels, out_channels, stride)`` of every block of ReActNet; one that doubles the channels has stride 2.

    Args:
        widths: channels of the stem and of each block. The first block keeps the size whatever its channels.
    """
    if len(widths) < 2:
        raise ValueError(f"widths must be those of the stem and of at least one block, got {widths}")
    for index, (inputs, outputs) in enumerate(pairwise(widths)):
        yield inputs, outputs, 2 if index > 0 and inputs != outputs else 1


def copies_of(in_channels: int, out_channels: int) -> int:
    """1 for a block that keeps its channels, 2 for one that doubles them; ValueError for any other."""
    if out_channels not in (in_channels, 2 * in_channels):
        raise ValueError(f"a block keeps or doubles the channels, got {in_channels} -> {out_channels}")
    return out_channels // in_channels


def check_count(widths: Sequence[int], count: int) -> None:
    """ValueError unless ``widths`` are ``count`` numbers."""
    if len(widths) != count:
        raise ValueError(f"widths must be {count} numbers, got {widths}")


def check_image_size(image_size: int, minimum: int) -> None:
    """ValueError unless ``image_size`` is at least ``minimum``."""
    if image_size < minimum:
        raise ValueError(f"image_size must be at least {minimum} for this network, got {image_size}")


def size_behind_alexnet(image_size: int) -> int:
    """Height and width that AlexNet's convolutions leave of an image: stride 4, then three poolings of stride 2."""
    check_image_size(image_size, 57)
    size = -(-image_size // 4)
    for _ in range(3):
        size = (size - 3) // 2 + 1
    return size
