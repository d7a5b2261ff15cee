"""EfficientNet-Lite0 (arXiv:1905.11946 without squeeze-and-excite, ReLU6 for swish; stem and head of fixed width).

4.65 million parameters, 0.4 billion multiply-accumulates.
"""

from torch import Tensor, nn

_STAGES = [
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
]
"""Expansion, channels out, blocks, stride of the first one, kernel."""


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, *, relu: bool = True) -> nn.Module:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs, eps=1e-3), *([nn.ReLU6()] if relu else []))


class Block(nn.Module):
    """[N, inputs, H, W] -> [N, outputs, H / stride, W / stride]: widen, depthwise, narrow."""

    def __init__(self, inputs: int, outputs: int, expansion: int, stride: int, kernel: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.layers = nn.Sequential(
            *([_conv(inputs, wide, 1)] if expansion != 1 else []),
            _conv(wide, wide, kernel, stride, wide),
            _conv(wide, outputs, 1, relu=False),
        )
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return x + y if self.residual else y


class EfficientNetLite0(nn.Module):
    """Images [N, 3, 224, 224] -> logits [N, 1000]."""

    def __init__(self) -> None:
        super().__init__()
        layers, inputs = [_conv(3, 32, 3, 2)], 32
        for expansion, outputs, blocks, stride, kernel in _STAGES:
            for index in range(blocks):
                layers.append(Block(inputs, outputs, expansion, stride if index == 0 else 1, kernel))
                inputs = outputs
        self.layers = nn.Sequential(*layers, _conv(inputs, 1280, 1))
        self.pool, self.classifier = nn.AdaptiveAvgPool2d(1), nn.Linear(1280, 1000)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.pool(self.layers(x)).flatten(1))
        return logits
