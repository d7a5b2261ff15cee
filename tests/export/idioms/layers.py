"""Layers of libraries, and of Transformers: bitorch, 1adrianb's, BinaryViT, BiT."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from idioms.common import Head, Idiom, Shift, stem


class SignNotZero(torch.autograd.Function):
    """``torch.sign`` with its zeros replaced."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        signs = torch.sign(x)
        return torch.where(signs == 0, torch.tensor(1.0, device=x.device), signs)

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:
        return gradient


class PaddedConv(nn.Conv2d):
    """Pads the signs with -1."""

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(SignNotZero.apply(x), (1, 1, 1, 1), mode="constant", value=-1.0)
        return F.conv2d(x, SignNotZero.apply(self.weight), self.bias, self.stride, 0)


class InputBinarizer(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.hardtanh(x) + (torch.sign(x) - F.hardtanh(x)).detach()


class WeightBinarizer(nn.Module):
    """With the mean size of each filter, of centred weights."""

    def forward(self, w: Tensor) -> Tensor:
        w = w.sub(w.mean(1, keepdim=True))
        scale = w.abs().sum((1, 2, 3), keepdim=True).div(w[0].nelement()) if w.dim() == 4 else 1.0
        return w.sign().mul(scale)


class PluggedConv(nn.Conv2d):
    """Three plug-ins: in front of the layer, for its weights, behind it."""

    def __init__(self, cin: int, cout: int) -> None:
        super().__init__(cin, cout, 3, padding=1, bias=False)
        self.activation_pre_process, self.weight_pre_process = InputBinarizer(), WeightBinarizer()
        self.scale = nn.Parameter(torch.rand(1, cout, 1, 1) + 0.5)

    def forward(self, x: Tensor) -> Tensor:
        out = F.conv2d(self.activation_pre_process(x), self.weight_pre_process(self.weight), None, 1, self.padding)
        return out.mul(self.scale)


class TokenShift(nn.Module):
    def __init__(self, features: int) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(1, 1, features))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.shift


class TokenLinear(nn.Linear):
    """A linear layer on tokens: signs behind a shift, centred weights with a scale for each row."""

    def __init__(self, cin: int, cout: int) -> None:
        super().__init__(cin, cout)
        self.move = TokenShift(cin)

    def forward(self, x: Tensor) -> Tensor:
        soft = torch.clamp(self.move(x), -1, 1)
        x = torch.sign(soft).detach() - soft.detach() + soft
        scale = torch.mean(abs(self.weight), dim=1, keepdim=True).detach()
        real = self.weight - self.weight.mean(-1, keepdim=True)
        w = (scale * torch.sign(real)).detach() - torch.clamp(real, -1, 1).detach() + torch.clamp(real, -1, 1)
        return F.linear(x, w, self.bias)


class MlpOfTokens(nn.Module):
    """Two binary layers between normalisations, on ``[N, tokens, features]``."""

    def __init__(self, linear: type[nn.Linear], features: int) -> None:
        super().__init__()
        self.first, self.second = linear(features, 2 * features), linear(2 * features, features)
        self.norm, self.act, self.last = nn.LayerNorm(features), nn.PReLU(), nn.LayerNorm(features)
        nn.init.normal_(self.norm.bias, 0, 0.2)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.second(self.act(self.first(self.norm(x))))
        return self.last(x).mean(1)


class ElasticSign(torch.autograd.Function):
    """``sign(x) * alpha``, and what its gradient needs."""

    @staticmethod
    def forward(ctx: object, x: Tensor, alpha: Tensor) -> Tensor:
        alpha = torch.where(alpha > 1e-5, alpha, torch.tensor(1e-5))
        ctx.save_for_backward(x, alpha)
        return x.sign() * alpha

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None


class ElasticBit(torch.autograd.Function):
    """``{0, alpha}``: what is never negative is divided, rounded and clamped."""

    @staticmethod
    def forward(ctx: object, x: Tensor, alpha: Tensor) -> Tensor:
        alpha = torch.where(alpha > 1e-5, alpha, torch.tensor(1e-5))
        ctx.save_for_backward(x, alpha)
        return (x / alpha).round().clamp(0, 1) * alpha

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None


class ElasticLinear(nn.Linear):
    """Weights of one scale for the layer; activations of a learned scale, signs or bits."""

    bits = False

    def __init__(self, cin: int, cout: int) -> None:
        super().__init__(cin, cout)
        self.alpha, self.move = nn.Parameter(torch.tensor(0.7)), TokenShift(cin)

    def forward(self, x: Tensor) -> Tensor:
        x = (ElasticBit if self.bits else ElasticSign).apply(self.move(x), self.alpha)
        real = self.weight - self.weight.mean()
        w = real.sign() * real.abs().mean()
        return F.linear(x, w, self.bias)


class ElasticBitLinear(ElasticLinear):
    bits = True


class MlpOfBits(MlpOfTokens):
    """The second layer reads what a ReLU leaves."""

    def __init__(self, features: int) -> None:
        super().__init__(ElasticLinear, features)
        self.second, self.act = ElasticBitLinear(2 * features, features), nn.ReLU()


IDIOMS = (
    Idiom(
        "hpi-xnor/bitorch",
        "zeros of the sign replaced by `where`; a border of -1",
        lambda: nn.Sequential(
            stem(16), PaddedConv(16, 32, 3), nn.BatchNorm2d(32), PaddedConv(32, 32, 3), nn.BatchNorm2d(32), Head(32)
        ),
        2,
    ),
    Idiom(
        "1adrianb/binary-networks-pytorch",
        "plug-ins for input, weights and scale; `soft + (hard - soft).detach()`",
        lambda: nn.Sequential(
            stem(16),
            PluggedConv(16, 32),
            nn.BatchNorm2d(32),
            Shift(32),
            PluggedConv(32, 32),
            nn.BatchNorm2d(32),
            Head(32),
        ),
        2,
    ),
    Idiom(
        "Phuoc-Hoan-Le/BinaryViT",
        "linear layers on tokens, signs behind a shift, scales for each row",
        lambda: MlpOfTokens(TokenLinear, 32),
        2,
        (2, 9, 32),
    ),
    Idiom(
        "facebookresearch/bit",
        "elastic sets: `sign(x) * alpha`, and `(x / alpha).round().clamp(0, 1) * alpha` behind a ReLU",
        lambda: MlpOfBits(32),
        2,
        (2, 9, 32),
    ),
)
