"""The layers that are measured: binary convolutions and linear layers of published networks."""

from dataclasses import dataclass

KEY_LAYERS = ("A", "B", "C", "D")
"""The four stages of ResNet-18, of 115.6 million multiply-accumulates each."""


@dataclass(frozen=True)
class LayerCase:
    """``size``: height and width of a convolution's input, rows of a linear layer's. Padding keeps that size, a stride
    divides it."""

    group: str
    name: str
    op: str  # "conv2d" or "linear"
    size: int
    inputs: int
    outputs: int
    kernel: int = 1
    stride: int = 1
    pad_value: int = 1
    groups: int = 1
    dilation: int = 1

    @property
    def padding(self) -> int:
        return self.dilation * (self.kernel // 2)

    @property
    def out_size(self) -> int:
        return self.size if self.op == "linear" else (self.size - 1) // self.stride + 1

    @property
    def pixels(self) -> int:
        """Output positions; rows of a linear layer."""
        return self.size if self.op == "linear" else self.out_size**2

    @property
    def macs(self) -> int:
        return self.pixels * self.inputs // self.groups * self.outputs * self.kernel**2

    @property
    def bytes(self) -> int:
        """The least that the packed layer must move: bits in, bits of weights, floats out."""
        read = self.size if self.op == "linear" else self.size**2
        return (
            read * self.inputs // 8
            + self.inputs // self.groups * self.outputs * self.kernel**2 // 8
            + 4 * self.pixels * self.outputs
        )

    @property
    def key(self) -> str:
        """In names of model files."""
        values = [self.size, self.inputs, self.outputs, self.kernel, self.stride]
        if (self.pad_value, self.groups, self.dilation) != (1, 1, 1):
            values += [self.pad_value, self.groups, self.dilation]
        return "-".join([self.op, *map(str, values)])


def _conv(group: str, name: str, size: int, inputs: int, outputs: int, kernel: int, stride: int = 1) -> LayerCase:
    step = f", stride {stride}" if stride > 1 else ""
    to = f"{inputs}" if inputs == outputs else f"{inputs} to {outputs}"
    text = f"{name} {size}x{size}, {to}, {kernel}x{kernel}{step}".strip()
    return LayerCase(group, text, "conv2d", size, inputs, outputs, kernel, stride)


_STAGES = [(56, 64), (28, 128), (14, 256), (7, 512)]
_REACTNET_3X3 = [(112, 32, 1), (112, 64, 2), (56, 128, 1), (56, 128, 2), (28, 256, 1), (28, 256, 2)]
_REACTNET_3X3 += [(14, 512, 1), (14, 512, 2), (7, 1024, 1)]
_REACTNET_1X1 = [(112, 32), (56, 64), (56, 128), (28, 128), (28, 256), (14, 256), (14, 512), (7, 512), (7, 1024)]


def _near(text: str, channels: int = 128, **changes: int) -> LayerCase:
    """A layer that differs from 28x28, 128 channels, 3x3 in one respect, in the group `NEIGHBOURS`."""
    return LayerCase(NEIGHBOURS, text, "conv2d", 28, channels, channels, 3, **changes)


def _deeper(size: int, channels: int, pad_value: int) -> LayerCase:
    """As many MACs in fewer pixels, more of which lie at the border."""
    padded = ", padded with 0" if pad_value == 0 else ""
    text = f"{size}x{size}, {channels}{padded}"
    return LayerCase(NEIGHBOURS, text, "conv2d", size, channels, channels, 3, pad_value=pad_value)


NEIGHBOURS = "neighbours"
_NEAR = [
    _near("28x28, 128 channels, 3x3, padded with +1"),
    _near("padded with 0", pad_value=0),
    _near("padded with -1", pad_value=-1),
    _near("stride 2", stride=2),
    _near("stride 2, padded with 0", stride=2, pad_value=0),
    _near("dilation 2", dilation=2),
    *(_near(f"{channels} channels", channels) for channels in (32, 64, 96, 100, 120, 144, 160, 192, 256)),
    *(_near(f"{groups} groups", groups=groups) for groups in (2, 4, 8, 16, 32)),
    _near("depthwise", groups=128),
    *(_deeper(size, channels, pad_value) for size, channels in _STAGES[2:] for pad_value in (1, 0)),
]

WHY = {
    "32 channels": "a tap of one word has no pairs, and 32 filters are half a tile",
    "4 groups": "a tap of one word has no pairs, and 32 filters are half a tile",
    "8 groups": "two groups share a word, and each masks the bits of the other",
    "16 groups": "four groups share a word, and a block of filters; the work is that of 8 groups",
    "32 groups": "eight groups share a word, and a block of filters; the work is that of 8 groups",
    "depthwise": "9 MAC an output, and every output is counted bit by bit",
}
"""Why a layer of `NEIGHBOURS` falls behind the others."""

LAYERS = [
    *(_conv("3x3", name, size, c, c, 3) for name, (size, c) in zip(KEY_LAYERS, _STAGES, strict=True)),
    *(_conv("stride-2", "", size, c, 2 * c, 3, 2) for size, c in _STAGES[:3]),
    *(_conv("1x1", "", size, c, c, 1) for size, c in _STAGES),
    *(_conv("reactnet-a", "", size, c, c, 3, stride) for size, c, stride in _REACTNET_3X3),
    *(_conv("reactnet-a", "", size, c, c, 1) for size, c in _REACTNET_1X1),
    *_NEAR,
    *(LayerCase("linear", f"linear 1024 to 1024, batch {rows}", "linear", rows, 1024, 1024) for rows in (1, 8, 64)),
]

GROUPS = list(dict.fromkeys(layer.group for layer in LAYERS))
TITLES = {
    "3x3": "3x3 layers of ResNet-18",
    "stride-2": "The same at stride 2, channels doubled",
    "1x1": "The same at 1x1",
    "reactnet-a": "ReActNet-A",
    NEIGHBOURS: "What padding, stride, groups and channels cost",
    "linear": "Linear",
}
