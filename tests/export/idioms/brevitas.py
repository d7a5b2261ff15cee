"""The layers of Brevitas as its binary example networks use them: a proxy for each tensor, with a scale and a clamp."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from idioms.common import Idiom


class ConstantScale(nn.Module):
    """A positive number that is a buffer, over a threshold of ones of the type of the values."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.register_buffer("value", torch.tensor(scale))

    def forward(self, x: Tensor) -> Tensor:
        threshold = torch.ones(1).type_as(x).abs()
        return self.value.detach().abs() / threshold


def sign_without_zero(x: Tensor) -> Tensor:
    return (x >= 0.0).to(x.dtype) * 2.0 - 1.0


class BinaryProxy(nn.Module):
    """``scale * sign(x)``; activations are clamped to the scale first, by choices."""

    def __init__(self, scale: float, clamped: bool) -> None:
        super().__init__()
        self.scaling, self.clamped = ConstantScale(scale), clamped

    def forward(self, x: Tensor) -> Tensor:
        scale = self.scaling(x)
        if self.clamped:
            x = torch.where(x > scale, scale.type_as(x), x)
            x = torch.where(x < -scale, (-scale).type_as(x), x)
        return sign_without_zero(x) * scale.type_as(x)


class ProxiedConv(nn.Conv2d):
    def __init__(self, cin: int, cout: int) -> None:
        super().__init__(cin, cout, 3, bias=False)
        self.weight_quant = BinaryProxy(1.0, clamped=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight_quant(self.weight[:]), self.bias)


class ProxiedLinear(nn.Linear):
    def __init__(self, cin: int, cout: int) -> None:
        super().__init__(cin, cout, bias=False)
        self.weight_quant = BinaryProxy(0.5, clamped=True)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight_quant(self.weight[:]))


class TensorNorm(nn.Module):
    """BatchNorm with one mean and one factor for the whole tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.tensor(1.3)), nn.Parameter(torch.tensor(-0.2))
        self.register_buffer("running_mean", torch.tensor(0.4))
        self.register_buffer("running_var", torch.tensor(2.5))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.running_mean) / (self.running_var + 1e-4).pow(0.5) * self.weight + self.bias


class SmallVgg(nn.Module):
    """Pixels from 0 to 1 become signs; the head's norm is that of the whole tensor."""

    def __init__(self) -> None:
        super().__init__()
        signs = [BinaryProxy(0.7, clamped=True) for _ in range(4)]
        self.features = nn.Sequential(
            signs[0],
            ProxiedConv(3, 16),
            nn.BatchNorm2d(16, eps=1e-4),
            signs[1],
            ProxiedConv(16, 32),
            nn.BatchNorm2d(32, eps=1e-4),
            signs[2],
            nn.MaxPool2d(2),
        )
        self.head = nn.Sequential(
            ProxiedLinear(32 * 36, 24),
            nn.BatchNorm1d(24, eps=1e-4),
            signs[3],
            ProxiedLinear(24, 10),
            TensorNorm(),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = 2.0 * x - torch.tensor([1.0], device=x.device)
        return self.head(self.features(x).view(x.shape[0], -1))


IDIOMS = (
    Idiom(
        "Xilinx/brevitas",
        "proxies: `(x >= 0) * 2 - 1` times a scale, behind `where(x > scale, scale, x)`",
        SmallVgg,
        4,
    ),
)
