"""What benchmarks/compare.py measures: layers with their BatchNorm and residual, and QuickNet's blocks and whole."""

from typing import Any

SUBJECTS: dict[str, tuple[int, int, int, int]] = {
    f"{kernel}x{kernel}, {size}x{size}x{channels}, stride {stride}": (size, channels, kernel, stride)
    for kernel, stride in ((3, 1), (3, 2), (1, 1))
    for size, channels in ((56, 64), (28, 128), (14, 256), (7, 512))
} | {"quicknet": (224, 3, 0, 0)}
"""Name -> size and channels of the input, kernel, stride; kernel 0: the network of that name."""


def network(subject: str) -> tuple[Any, tuple[int, int, int, int]]:
    """The module and the shape of its input, in terms of the revision whose package is imported."""
    from torch import nn

    from bittern.nn import BinaryConv2d

    size, channels, kernel, stride = SUBJECTS[subject]
    shape = (1, channels, size, size)
    if kernel == 0:
        from bittern.models import create

        return create(subject), shape
    layer = BinaryConv2d(channels, channels, kernel, stride, padding=kernel // 2, pad_value=1 if kernel > 1 else 0)
    return nn.Sequential(layer, nn.BatchNorm2d(channels)), shape
