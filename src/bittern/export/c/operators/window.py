"""The struct of a window that moves over images."""

from collections.abc import Sequence

from bittern.export.c.program import Struct


def window(
    images: int,
    in_size: Sequence[int],
    out_size: Sequence[int],
    kernel: Sequence[int] = (1, 1),
    stride: Sequence[int] = (1, 1),
    dilation: Sequence[int] = (1, 1),
    before: Sequence[int] = (0, 0),
) -> Struct:
    """Sizes are (height, width); ``before``: padding above and to the left."""
    fields = {
        "images": images,
        "in_height": in_size[0],
        "in_width": in_size[1],
        "out_height": out_size[0],
        "out_width": out_size[1],
        "kernel_height": kernel[0],
        "kernel_width": kernel[1],
        "stride_y": stride[0],
        "stride_x": stride[1],
        "dilation_y": dilation[0],
        "dilation_x": dilation[1],
        "top": before[0],
        "left": before[1],
    }
    return Struct("bittern_window_t", fields)


def rows_as_images(rows: int) -> Struct:
    """A linear layer: images of one row, whose pixels it reads one by one."""
    return window(1, (1, rows), (1, rows))
