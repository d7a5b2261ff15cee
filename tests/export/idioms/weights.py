"""Particular weights: IR-Net, ReCU, RBNN, AdaBin."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from idioms.common import Head, Idiom, stem


class SoftenedSign(torch.autograd.Function):
    """Forward a sign; backward a tanh of slope ``k * t``."""

    @staticmethod
    def forward(ctx: object, x: Tensor, k: Tensor, t: Tensor) -> Tensor:
        ctx.save_for_backward(x, k, t)
        return torch.sign(x)

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> tuple[Tensor, None, None]:
        x, k, t = ctx.saved_tensors
        return k * t * (1 - torch.tanh(x * t) ** 2) * gradient, None, None


class BalancedConv(nn.Conv2d):
    """Standardized weights, and a scale that is the power of two nearest to their mean size."""

    def __init__(self, cin: int, cout: int) -> None:
        super().__init__(cin, cout, 3, padding=1, bias=False)
        self.k, self.t = torch.tensor([10.0]), torch.tensor([0.1])

    def forward(self, x: Tensor) -> Tensor:
        w = self.weight
        w = w - w.view(w.size(0), -1).mean(-1).view(w.size(0), 1, 1, 1)
        w = w / w.view(w.size(0), -1).std(-1).view(w.size(0), 1, 1, 1)
        size = w.abs().view(w.size(0), -1).mean(-1)
        scale = torch.pow(torch.tensor([2.0]), (torch.log(size) / math.log(2)).round().float())
        w = SoftenedSign.apply(w, self.k, self.t) * scale.view(w.size(0), 1, 1, 1).detach()
        return F.conv2d(SoftenedSign.apply(x, self.k, self.t), w, self.bias, self.stride, self.padding)


class ClampedTailsConv(nn.Conv2d):
    """Weights beyond a quantile of a Laplace distribution are pulled in, at a limit that is read as a number."""

    def __init__(self, cin: int, cout: int) -> None:
        super().__init__(cin, cout, 3, padding=1, bias=False)
        self.alpha = nn.Parameter(torch.rand(cout, 1, 1) + 0.5)
        self.register_buffer("tau", torch.tensor(0.99))

    def forward(self, x: Tensor) -> Tensor:
        a = torch.sign(x)
        w = self.weight - self.weight.mean([1, 2, 3], keepdim=True)
        w = w / (torch.sqrt(w.var([1, 2, 3], keepdim=True) + 1e-5) / 2 / math.sqrt(2))
        limit = (-w.abs().mean() * torch.log(2 - 2 * self.tau)).detach().cpu().item()
        w = torch.clamp(w, -limit, limit)
        return F.conv2d(a, torch.sign(w), None, self.stride, self.padding) * self.alpha


class RotatedConv(nn.Conv2d):
    """Weights are turned towards their signs, as a matrix between two rotations, by a learned angle."""

    def __init__(self, cin: int, cout: int) -> None:
        super().__init__(cin, cout, 3, padding=1, bias=False)
        self.rows, self.columns = cout, cin * 9
        self.register_buffer("left", torch.linalg.qr(torch.randn(self.rows, self.rows))[0])
        self.register_buffer("right", torch.linalg.qr(torch.randn(self.columns, self.columns))[0])
        self.angle = nn.Parameter(torch.rand(cout, 1, 1, 1))
        self.alpha = nn.Parameter(torch.rand(cout, 1, 1) + 0.5)

    def forward(self, x: Tensor) -> Tensor:
        w = self.weight
        w = (w - w.mean([1, 2, 3], keepdim=True)) / w.std([1, 2, 3], keepdim=True)
        turned = (self.left.t() @ w.reshape(self.rows, self.columns) @ self.right).view_as(w)
        w = w + torch.abs(torch.sin(self.angle)) * (turned - w).detach()
        return F.conv2d(torch.sign(x), torch.sign(w), None, self.stride, self.padding) * self.alpha


class TwoSetsConv(nn.Conv2d):
    """Activations and weights of two learned values each, neither of them centred."""

    def __init__(self, cin: int, cout: int) -> None:
        super().__init__(cin, cout, 3, padding=1, bias=False)
        self.distance, self.centre = nn.Parameter(torch.tensor(0.8)), nn.Parameter(torch.tensor(0.1))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.clamp((x - self.centre) / self.distance, -1, 1)
        x = self.distance * (torch.sign(x) + self.centre)
        mean, deviation = self.weight.mean((1, 2, 3), keepdim=True), self.weight.std((1, 2, 3), keepdim=True)
        w = torch.sign((self.weight - mean) / deviation) * deviation + mean
        return F.conv2d(x, w, self.bias, self.stride, self.padding)


def network(conv: type[nn.Conv2d]) -> nn.Module:
    def block(cin: int, cout: int) -> list[nn.Module]:
        return [conv(cin, cout), nn.BatchNorm2d(cout), nn.Hardtanh()]

    return nn.Sequential(stem(16), *block(16, 32), nn.MaxPool2d(2), *block(32, 32), Head(32))


IDIOMS = (
    Idiom("htqin/IR-Net", "standardized weights, power-of-two scales", lambda: network(BalancedConv), 2),
    Idiom("z-hXu/ReCU", "a limit of the weights through `.item()`", lambda: network(ClampedTailsConv), 2),
    Idiom("lmbxmu/RBNN", "weights between two rotation matrices", lambda: network(RotatedConv), 2),
    Idiom(
        "huawei-noah/Efficient-Computing (AdaBin)",
        "two learned values, for activations and for weights; a border of zeros",
        lambda: network(TwoSetsConv),
        2,
    ),
)
