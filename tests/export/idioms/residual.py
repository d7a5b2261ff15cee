"""Residual networks with a polynomial behind the sign: Bi-Real Net, ReActNet, AdamBNN; and BNext."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from idioms.common import Head, Idiom, Shift, stem


class PolynomialSign(nn.Module):
    """A sign whose gradient is that of two parabolas: both are computed, and all but the sign cancels."""

    def forward(self, x: Tensor) -> Tensor:
        hard = torch.sign(x)
        left, middle, right = x < -1, x < 0, x < 1
        out = (-1) * left.type(torch.float32) + (x * x + 2 * x) * (1 - left.type(torch.float32))
        out = out * middle.type(torch.float32) + (-x * x + 2 * x) * (1 - middle.type(torch.float32))
        soft = out * right.type(torch.float32) + 1 * (1 - right.type(torch.float32))
        return hard.detach() - soft.detach() + soft


class MeanScaledConv(nn.Module):
    """Weights are the sign times the mean size of a filter, one mean a dimension; latent weights give the gradient."""

    def __init__(self, cin: int, cout: int, kernel: int = 3, stride: int = 1, *, flat: bool = False) -> None:
        super().__init__()
        self.shape, self.stride, self.padding = (cout, cin, kernel, kernel), stride, kernel // 2
        numbers = cout * cin * kernel * kernel
        self.weights = nn.Parameter(torch.randn((numbers, 1) if flat else self.shape) * 0.3)

    def forward(self, x: Tensor) -> Tensor:
        real = self.weights.view(self.shape)
        scale = torch.mean(torch.mean(torch.mean(abs(real), dim=3, keepdim=True), dim=2, keepdim=True), 1, keepdim=True)
        scale = scale.detach()
        hard = scale * torch.sign(real)
        soft = torch.clamp(real, -1.0, 1.0)
        binary = hard.detach() - soft.detach() + soft
        return F.conv2d(x, binary, stride=self.stride, padding=self.padding)


class BiRealBlock(nn.Module):
    def __init__(self, cin: int, cout: int, stride: int = 1) -> None:
        super().__init__()
        self.sign, self.conv, self.bn = PolynomialSign(), MeanScaledConv(cin, cout, stride=stride), nn.BatchNorm2d(cout)
        self.downsample = None
        if stride != 1:
            self.downsample = nn.Sequential(
                nn.AvgPool2d(2, stride), nn.Conv2d(cin, cout, 1, bias=False), nn.BatchNorm2d(cout)
            )

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn(self.conv(self.sign(x)))
        residual = x
        if self.downsample is not None:
            residual = self.downsample(x)
        out += residual
        return out


class ShiftedPRelu(nn.Sequential):
    def __init__(self, channels: int) -> None:
        super().__init__(Shift(channels), nn.PReLU(channels), Shift(channels))


class ReActBlock(nn.Module):
    """A 3x3 convolution, then one or, to double the channels, two 1x1 convolutions."""

    def __init__(self, cin: int, cout: int, stride: int, *, flat: bool) -> None:
        super().__init__()
        self.move1, self.move2, self.sign = Shift(cin), Shift(cin), PolynomialSign()
        self.conv3 = MeanScaledConv(cin, cin, stride=stride, flat=flat)
        self.bn1, self.act1, self.act2 = nn.BatchNorm2d(cin), ShiftedPRelu(cin), ShiftedPRelu(cout)
        self.points = nn.ModuleList(MeanScaledConv(cin, cin, 1, flat=flat) for _ in range(cout // cin))
        self.norms = nn.ModuleList(nn.BatchNorm2d(cin) for _ in self.points)
        self.pool = nn.AvgPool2d(2, 2) if stride == 2 else None

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn1(self.conv3(self.sign(self.move1(x))))
        out = self.act1(out + (x if self.pool is None else self.pool(x)))
        bits = self.sign(self.move2(out))
        parts = [norm(conv(bits)) + out for conv, norm in zip(self.points, self.norms, strict=True)]
        return self.act2(torch.cat(parts, dim=1) if len(parts) > 1 else parts[0])


class ClampedSign(nn.Module):
    """A sign whose temperature is a buffer: above a limit the clamp itself would be the result."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("temperature", torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        soft = x.clamp(-1.5, 1.5)
        hard = x.div(self.temperature.detach().clamp(min=0.07)).clamp(-1, 1).sign()
        return (hard - soft).detach() + soft


class TemperedConv(nn.Module):
    """Whether its weights are signs is decided by a number in a buffer."""

    def __init__(self, cin: int, cout: int, kernel: int = 3) -> None:
        super().__init__()
        self.weight, self.padding = nn.Parameter(torch.randn(cout, cin, kernel, kernel) * 0.1), kernel // 2
        self.register_buffer("temperature", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        real = self.weight - self.weight.mean([1, 2, 3], keepdim=True)
        scale = real.abs().mean((1, 2, 3), keepdim=True).detach()
        if self.temperature < 1e-7:
            hard = scale * torch.sign(real)
        else:
            hard = scale * torch.clamp(real / self.temperature, -1, 1)
        soft = torch.clamp(real, -1.0, 1.0)
        return F.conv2d(x, hard.detach() - soft.detach() + soft, padding=self.padding)


class BNextBlock(nn.Module):
    """Squeeze and excitation scale the sum of a binary layer and its shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.move, self.sign, self.conv = Shift(channels), ClampedSign(), TemperedConv(channels, channels)
        self.bn, self.act = nn.BatchNorm2d(channels), nn.PReLU(channels)
        self.squeeze = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, channels // 4, 1),
            nn.ReLU(),
            nn.Conv2d(channels // 4, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        out = self.act(self.bn(self.conv(self.sign(self.move(x)))))
        return out * self.squeeze(x) + x


IDIOMS = (
    Idiom(
        "liuzechun/Bi-Real-net",
        "sign and parabolas, both cut from the gradient's graph",
        lambda: nn.Sequential(stem(16), BiRealBlock(16, 16), BiRealBlock(16, 32, 2), Head(32)),
        2,
    ),
    Idiom(
        "liuzechun/ReActNet",
        "weights kept as one column; shifted signs and PReLUs; channels doubled by a concatenation",
        lambda: nn.Sequential(stem(32), ReActBlock(32, 64, 1, flat=True), ReActBlock(64, 64, 2, flat=True), Head(64)),
        5,
    ),
    Idiom(
        "liuzechun/AdamBNN",
        "the same with weights of four dimensions",
        lambda: nn.Sequential(stem(32), ReActBlock(32, 64, 2, flat=False), Head(64)),
        3,
    ),
    Idiom(
        "hpi-xnor/BNext",
        "`if self.temperature < 1e-7` on a buffer; a clamp under the sign; squeeze and excitation",
        lambda: nn.Sequential(stem(16), BNextBlock(16), BNextBlock(16), Head(16)),
        2,
    ),
)
