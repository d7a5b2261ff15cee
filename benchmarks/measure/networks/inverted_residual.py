"""Networks of inverted residual blocks: MobileNetV2 (arXiv:1801.04381) and EfficientNet-Lite0 (arXiv:1905.11946).

MobileNetV2 at width 1: 3.50 million parameters, 0.3 billion multiply-accumulates. EfficientNet-Lite0 (no
squeeze-and-excite, ReLU6 for swish, stem and head of fixed width): 4.65 million and 0.4 billion.
"""

from torch import Tensor, nn

_Stages = list[tuple[int, int, int, int, int]]
"""Expansion, channels out, blocks, stride of the first one, kernel."""

_MOBILENET_V2: _Stages = [
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 32, 3, 2, 3),
    (6, 64, 4, 2, 3),
    (6, 96, 3, 1, 3),
    (6, 160, 3, 2, 3),
    (6, 320, 1, 1, 3),
]
_EFFICIENTNET_LITE0: _Stages = [
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
]


def mobilenet_v2(width: float = 1.0) -> nn.Module:
    """``width``, at most 1, scales all channels but the last 1280."""
    stages = [(t, _channels(c, width), n, s, k) for t, c, n, s, k in _MOBILENET_V2]
    return InvertedResidualNet(_channels(32, width), stages, eps=1e-5)


def efficientnet_lite0() -> nn.Module:
    return InvertedResidualNet(32, _EFFICIENTNET_LITE0, eps=1e-3)


class InvertedResidualNet(nn.Module):
    """Images [N, 3, 224, 224] -> logits [N, 1000]. ``eps``: of BatchNorm."""

    def __init__(self, stem: int, stages: _Stages, *, eps: float) -> None:
        super().__init__()
        inputs, layers = stem, [_conv(3, stem, 3, 2, eps=eps)]
        for expansion, outputs, blocks, stride, kernel in stages:
            for index in range(blocks):
                first = stride if index == 0 else 1
                layers.append(InvertedResidual(inputs, outputs, expansion, first, kernel, eps=eps))
                inputs = outputs
        self.layers = nn.Sequential(*layers, _conv(inputs, 1280, 1, eps=eps))
        self.pool, self.classifier = nn.AdaptiveAvgPool2d(1), nn.Linear(1280, 1000)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.pool(self.layers(x)).flatten(1))
        return logits


class InvertedResidual(nn.Module):
    """[N, inputs, H, W] -> [N, outputs, H / stride, W / stride]: widen, depthwise, narrow."""

    def __init__(self, inputs: int, outputs: int, expansion: int, stride: int, kernel: int, *, eps: float) -> None:
        super().__init__()
        wide = inputs * expansion
        self.layers = nn.Sequential(
            *([_conv(inputs, wide, 1, eps=eps)] if expansion != 1 else []),
            _conv(wide, wide, kernel, stride, wide, eps=eps),
            _conv(wide, outputs, 1, eps=eps, relu=False),
        )
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return x + y if self.residual else y


def _conv(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, *, eps: float, relu: bool = True
) -> nn.Module:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs, eps=eps), *([nn.ReLU6()] if relu else []))


def _channels(channels: int, width: float) -> int:
    """``channels`` times ``width``, rounded to the multiple of 8 that loses at most a tenth, as in the paper's code."""
    scaled = channels * width
    rounded = max(8, int(scaled + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * scaled else rounded + 8
