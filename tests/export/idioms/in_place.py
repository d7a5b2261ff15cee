"""Weights and activations that are replaced in place: BinaryNet.pytorch, XNOR-Net-PyTorch, micronet."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from idioms.common import Head, Idiom


class ReplacingConv(nn.Conv2d):
    """Puts signs into ``x.data`` and ``weight.data``, and keeps the latent weights as an attribute of the weight."""

    def forward(self, x: Tensor) -> Tensor:
        if x.size(1) != 3:
            x.data = x.data.sign()
        if not hasattr(self.weight, "org"):
            self.weight.org = self.weight.data.clone()
        self.weight.data = self.weight.org.sign()
        out = F.conv2d(x, self.weight, None, self.stride, self.padding, self.dilation, self.groups)
        if self.bias is not None:
            self.bias.org = self.bias.data.clone()
            out += self.bias.view(1, -1, 1, 1).expand_as(out)
        return out


class ReplacingLinear(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        if x.size(1) != 784:
            x.data = x.data.sign()
        if not hasattr(self.weight, "org"):
            self.weight.org = self.weight.data.clone()
        self.weight.data = self.weight.org.sign()
        out = F.linear(x, self.weight)
        if self.bias is not None:
            self.bias.org = self.bias.data.clone()
            out += self.bias.view(1, -1).expand_as(out)
        return out


class ReplacingNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            ReplacingConv(3, 32, 3, padding=1),
            nn.BatchNorm2d(32),
            nn.Hardtanh(inplace=True),
            ReplacingConv(32, 32, 3, padding=1),
            nn.MaxPool2d(2, 2),
            nn.BatchNorm2d(32),
            nn.Hardtanh(inplace=True),
        )
        self.classifier = nn.Sequential(
            ReplacingLinear(32 * 8 * 8, 64),
            nn.BatchNorm1d(64),
            nn.Hardtanh(),
            ReplacingLinear(64, 10),
            nn.BatchNorm1d(10),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x)
        return self.classifier(x.flatten(1))


class BinaryActivation(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.sign()

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return gradient.masked_fill(x.abs() >= 1, 0)


class NormSignConv(nn.Module):
    """BatchNorm, sign, convolution, ReLU: the weights are replaced before, once for the whole network."""

    def __init__(self, cin: int, cout: int, kernel: int, padding: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(cin, eps=1e-4, momentum=0.1, affine=True)
        self.conv, self.relu = nn.Conv2d(cin, cout, kernel, padding=padding), nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.conv(BinaryActivation.apply(self.bn(x))))


def with_weights_replaced(module: nn.Module) -> nn.Module:
    """Centred, clamped, and replaced by signs times their mean size, all in ``.data``."""
    for each in module.modules():
        if isinstance(each, NormSignConv):
            weight = each.conv.weight
            weight.data = weight.data.add(weight.data.mean(1, keepdim=True).mul(-1).expand_as(weight.data))
            weight.data.clamp_(-1.0, 1.0)
            size = weight.data.abs().sum(3, keepdim=True).sum(2, keepdim=True).sum(1, keepdim=True)
            weight.data = weight.data.sign().mul(size.div(weight.data[0].nelement()).expand(weight.data.size()))
    return module


class CentringConv(nn.Conv2d):
    """Centres and clamps its own weights in every call."""

    def forward(self, x: Tensor) -> Tensor:
        self.weight.data.sub_(self.weight.data.mean(1, keepdim=True))
        self.weight.data.clamp_(-1.0, 1.0)
        scale = torch.mean(torch.abs(self.weight), (3, 2, 1), keepdim=True)
        return F.conv2d(BinaryActivation.apply(x), BinaryActivation.apply(self.weight) * scale, self.bias, padding=1)


IDIOMS = (
    Idiom(
        "itayhubara/BinaryNet.pytorch",
        "`x.data = x.data.sign()`, and weights as `weight.data` with their originals at `weight.org`",
        ReplacingNet,
        3,
    ),
    Idiom(
        "jiecaoyu/XNOR-Net-PyTorch",
        "weights replaced before the network runs; ReLU behind the binary layer",
        lambda: with_weights_replaced(
            nn.Sequential(
                nn.Conv2d(3, 32, 5, padding=2),
                nn.BatchNorm2d(32, eps=1e-4),
                nn.ReLU(inplace=True),
                NormSignConv(32, 32, 1, 0),
                nn.MaxPool2d(3, 2, 1),
                NormSignConv(32, 32, 3, 1),
                Head(32),
            )
        ),
        2,
    ),
    Idiom(
        "666DZY666/micronet",
        "`weight.data.sub_()` and `weight.data.clamp_()` in `forward`",
        lambda: nn.Sequential(
            nn.Conv2d(3, 32, 3, padding=1),
            nn.BatchNorm2d(32),
            CentringConv(32, 32, 3),
            nn.BatchNorm2d(32),
            nn.ReLU(inplace=True),
            Head(32),
        ),
        1,
    ),
)
