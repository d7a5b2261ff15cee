"""MobileNetV2 (arXiv:1801.04381): at width 1, 3.50 million parameters and 0.3 billion multiply-accumulates."""

from torch import Tensor, nn

_STAGES = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
"""Expansion, channels out, blocks, stride of the first one."""


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, *, relu: bool = True) -> nn.Module:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), *([nn.ReLU6()] if relu else []))


class Block(nn.Module):
    """[N, inputs, H, W] -> [N, outputs, H / stride, W / stride]: widen, depthwise 3x3, narrow."""

    def __init__(self, inputs: int, outputs: int, expansion: int, stride: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.layers = nn.Sequential(
            *([_conv(inputs, wide, 1)] if expansion != 1 else []),
            _conv(wide, wide, 3, stride, wide),
            _conv(wide, outputs, 1, relu=False),
        )
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return x + y if self.residual else y


def _channels(channels: int, width: float) -> int:
    """``channels`` times ``width``, to the nearest multiple of 8 that takes away at most a tenth, as in the paper's code."""
    scaled = channels * width
    rounded = max(8, int(scaled + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * scaled else rounded + 8


class MobileNetV2(nn.Module):
    """Images [N, 3, 224, 224] -> logits [N, 1000]. ``width``, at most 1, scales all channels but the last 1280."""

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        inputs = _channels(32, width)
        layers = [_conv(3, inputs, 3, 2)]
        for expansion, full, blocks, stride in _STAGES:
            outputs = _channels(full, width)
            for index in range(blocks):
                layers.append(Block(inputs, outputs, expansion, stride if index == 0 else 1))
                inputs = outputs
        self.layers = nn.Sequential(*layers, _conv(inputs, 1280, 1))
        self.pool, self.classifier = nn.AdaptiveAvgPool2d(1), nn.Linear(1280, 1000)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.pool(self.layers(x)).flatten(1))
        return logits
