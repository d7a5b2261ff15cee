"""Parts that several architectures share: binary layers in every precision, stems, shortcuts, stages."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Literal

from torch import Tensor, nn

from bittern.models.precision import Precision, check_precision
from bittern.nn import BinaryConv2d, BinaryLinear, Conv2dSame, MaxPool2dSame

SMALL = 50
"""Images of fewer pixels than this a side get a stem of one 3x3 convolution, as in Larq Zoo."""

Norm = Callable[[int], nn.Module]
"""Makes the BatchNorm of so many channels."""

keras_norm = partial(nn.BatchNorm2d, eps=1e-3, momentum=0.01)
"""Keras' BatchNormalization as it is by default; torch's momentum is 1 - Keras'."""


class _ReluConv2d(BinaryConv2d):
    """What stands for a binary convolution in a float network: ReLU in the place of the sign, and real weights."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.relu())


class _TanhConv2d(BinaryConv2d):
    """As ``_ReluConv2d``, with tanh in the place of the sign."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.tanh())


class _ReluLinear(BinaryLinear):
    """What stands for a binary linear layer in a float network: ReLU in the place of the sign, and real weights."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.relu())


def binary_conv(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    precision: Precision,
    *,
    real_activation: Literal["relu", "tanh"] = "relu",
    **options: Any,
) -> nn.Module:
    """``BinaryConv2d``; for a float network ``real_activation``, in the place of the sign, and a real convolution."""
    kind = {"relu": _ReluConv2d, "tanh": _TanhConv2d}[real_activation] if precision == "float" else BinaryConv2d
    return kind(in_channels, out_channels, kernel_size, **_binarize(precision), **options)


def binary_linear(in_features: int, out_features: int, precision: Precision, **options: Any) -> nn.Module:
    """``BinaryLinear``; for a float network ReLU, in the place of the sign, and a real linear layer."""
    kind = _ReluLinear if precision == "float" else BinaryLinear
    return kind(in_features, out_features, **_binarize(precision), **options)


def _binarize(precision: Precision) -> dict[str, Any]:
    check_precision(precision)
    return {"binarize_input": precision != "float", "binarize_weight": precision == "binary"}


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
        same: pads as Keras does, instead of with as many pixels on both sides.
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
    if len(widths) != len(depths) or min(*widths, *depths) < 1:
        raise ValueError(f"widths and depths must be as many, each at least 1; got {widths} and {depths}")
    for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        for index in range(depth):
            yield channels, width, 2 if stage > 0 and index == 0 else 1
            channels = width


def check_image_size(image_size: int, least: int) -> None:
    """ValueError unless ``image_size`` is at least ``least``."""
    if image_size < least:
        raise ValueError(f"image_size must be at least {least} for this network, got {image_size}")
