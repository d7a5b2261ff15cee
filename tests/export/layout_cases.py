"""Small networks whose images change hands between XNNPACK, Bittern's operators and ExecuTorch's kernels."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bittern.nn import BinaryConv2d

IMAGE = (9, 7)
"""Height and width that the cases are made for."""


class Step(nn.Module):
    """A function as a layer."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class Shortcut(nn.Module):
    """A binary layer and what ``shortcut`` makes of its input: the residual of its epilogue."""

    def __init__(self, layer: nn.Module, shortcut: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.layer, self.shortcut = layer, shortcut

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layer(x) + self.shortcut(x)
        return y


class Cbam(nn.Module):
    """Attention over channels, then over pixels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = nn.Sequential(nn.Conv2d(channels, 2, 1), nn.ReLU(), nn.Conv2d(2, channels, 1))
        self.pixels = nn.Conv2d(2, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = x * torch.sigmoid(self.channels(F.adaptive_avg_pool2d(x, 1)) + self.channels(F.adaptive_max_pool2d(x, 1)))
        return x * torch.sigmoid(self.pixels(torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)))


class ChannelNorm(nn.Module):
    """LayerNorm over the channels of each pixel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return y


class Autoencoder(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(channels, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 4, 3, 2, 1), nn.ReLU())
        self.up = nn.Sequential(nn.ConvTranspose2d(4, 8, 3, 2, 1), nn.ReLU(), nn.ConvTranspose2d(8, channels, 2, 2))

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.up(self.down(x)))


Around = Callable[[Callable[[Tensor], Tensor], int], nn.Module]


def between_floats(step: Callable[[Tensor], Tensor], channels: int) -> nn.Module:
    """``step`` on ``channels`` channels from a float layer, for images of 3."""
    return nn.Sequential(nn.Conv2d(3, channels, 3, padding=1), nn.ReLU(), Step(step))


def between_bits(step: Callable[[Tensor], Tensor], channels: int) -> nn.Module:
    """``step`` on ``channels`` channels from a binary layer, for images of 3."""
    binary = BinaryConv2d(32, channels, 3, padding=1)
    return nn.Sequential(nn.Conv2d(3, 32, 3, padding=1), binary, nn.BatchNorm2d(channels), Step(step))


def shortcut(step: Callable[[Tensor], Tensor], stride: int = 1) -> Callable[[int], nn.Module]:
    return lambda channels: nn.Sequential(
        nn.Conv2d(channels, 32, 3, padding=1),
        Shortcut(BinaryConv2d(32, 32, 3, stride=stride, padding=1), step),
        BinaryConv2d(32, 5, 1),
    )


def head(*layers: nn.Module) -> Callable[[int], nn.Module]:
    return lambda channels: nn.Sequential(nn.Conv2d(channels, 8, 3, padding=1), nn.ReLU(), *layers)


def from_one_channel(*layers: nn.Module) -> Callable[[int], nn.Module]:
    return lambda channels: nn.Sequential(
        nn.Conv2d(channels, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 1, 3, padding=1), *layers
    )


def mnist(channels: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels, 32, 3, padding=1),
        nn.BatchNorm2d(32),
        BinaryConv2d(32, 64, 3, padding=1),
        nn.BatchNorm2d(64),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.LazyLinear(10),
    )


def initialised(make: Callable[[int], nn.Module], size: tuple[int, int] = IMAGE) -> Callable[[int], nn.Module]:
    def build(channels: int) -> nn.Module:
        net = make(channels).eval()
        net(torch.zeros(1, channels, *size))
        return net

    return build


ONE_CHANNEL: dict[str, Callable[[int], nn.Module]] = {
    "a convolution": from_one_channel(),
    "sigmoid": from_one_channel(nn.Sigmoid()),
    "max pooling": from_one_channel(nn.MaxPool2d(2)),
    "average pooling": from_one_channel(nn.AvgPool2d(2)),
    "padding": from_one_channel(nn.ZeroPad2d(1)),
    "BatchNorm": from_one_channel(nn.BatchNorm2d(1)),
    "PReLU": from_one_channel(nn.PReLU(1)),
    "transposed": head(nn.ConvTranspose2d(8, 1, 2, 2)),
    "autoencoder": Autoencoder,
    "softplus": from_one_channel(nn.Softplus()),
    "one to binary": from_one_channel(BinaryConv2d(1, 4, 1)),
    "binary to one": head(BinaryConv2d(8, 1, 3)),
    "binary to one to float": head(BinaryConv2d(8, 1, 3), nn.Conv2d(1, 3, 1)),
    "one pixel": head(nn.AdaptiveAvgPool2d(1)),
    "one pixel of one channel": from_one_channel(nn.AdaptiveAvgPool2d(1)),
    "mnist": initialised(mnist),
    "readme digits": lambda channels: nn.Sequential(
        nn.Conv2d(channels, 32, 3, padding=1),
        nn.BatchNorm2d(32),
        BinaryConv2d(32, 32, 3, padding=1),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(128, 10),
    ),
}
SHORTCUTS: dict[str, Callable[[int], nn.Module]] = {
    "view": shortcut(lambda x: x.view(x.shape)),
    "reshape": shortcut(lambda x: x.flatten(2).reshape(x.shape)),
    "permuted twice": shortcut(lambda x: (x.permute(0, 2, 3, 1) * 2).permute(0, 3, 1, 2)),
    "transposed": shortcut(lambda x: x.flatten(2).transpose(1, 2).reshape(x.shape)),
    "channel norm": shortcut(ChannelNorm(32)),
    "every second pixel": shortcut(lambda x: x[:, :, ::2, ::2], 2),
    "option a": lambda channels: nn.Sequential(
        nn.Conv2d(channels, 16, 3, padding=1),
        Shortcut(BinaryConv2d(16, 32, 3, stride=2, padding=1), lambda x: F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 8, 8))),
        BinaryConv2d(32, 5, 1),
    ),
    "a pooled pixel": shortcut(lambda x: F.avg_pool2d(x, 1, 2), 2),
    "softmax": shortcut(lambda x: x.softmax(1)),
    "flip": shortcut(lambda x: x.flip(3)),
    "expanded": shortcut(lambda x: x.mean((2, 3), keepdim=True)),
    "expanded pixel": shortcut(lambda x: x.mean((2, 3), keepdim=True).expand(x.shape)),
}
STEPS: dict[str, Callable[[Tensor], Tensor]] = {
    "slice of rows": lambda x: x[:, :, ::2, 1::3],
    "slice of columns": lambda x: x[:, :, :, 1:6:2],
    "slice of channels": lambda x: x[:, ::2],
    "channel list": lambda x: x[:, [2, 0, 1]],
    "pixel list": lambda x: x[:, :, [2, 0, 1]],
    "view": lambda x: x.view(x.shape[0], -1),
    "view of image": lambda x: x.view(x.shape[0], 3, -1, x.shape[3]),
    "repeat": lambda x: x.repeat(1, 2, 1, 2),
    "repeat_interleave": lambda x: x.repeat_interleave(2, 3),
    "negative pad": lambda x: F.pad(x, (-1, 2, -2, -1)),
    "crop": lambda x: F.pad(x, (-1, -1)),
    "softmax 1": lambda x: F.softmax(x, 1),
    "softmax 2": lambda x: F.softmax(x, 2),
    "softmax 3": lambda x: F.softmax(x, 3),
    "log_softmax": lambda x: F.log_softmax(x, 1),
    "amax 1": lambda x: x.amax(1),
    "amin 1": lambda x: x.amin(1, keepdim=True),
    "amax 2 3": lambda x: x.amax((2, 3)),
    "amin 3": lambda x: x.amin(3),
    "max 1": lambda x: x.max(1).values,
    "max 2": lambda x: x.max(2, keepdim=True).values,
    "max 3 places": lambda x: torch.cat([x.max(3).values, x.max(3).indices.float()], 1),
    "argmax": lambda x: x.argmax(1).float(),
    "mean 1": lambda x: x.mean(1),
    "mean 2": lambda x: x.mean(2),
    "mean 3": lambda x: x.mean(3, keepdim=True),
    "mean 1 2 3": lambda x: x.mean((1, 2, 3), keepdim=True),
    "sum 1": lambda x: x.sum(1),
    "std": lambda x: x.std(1, keepdim=True),
    "cumsum": lambda x: x.cumsum(1),
    "group norm": nn.GroupNorm(2, 6),
    "instance norm": nn.InstanceNorm2d(6),
    "layer norm": nn.LayerNorm([6, 9, 7]),
    "layer norm 3": nn.LayerNorm([7]),
    "channel norm": ChannelNorm(6),
    "cbam": Cbam(6),
    "adaptive max 1": nn.AdaptiveMaxPool2d(1),
    "adaptive max 3": nn.AdaptiveMaxPool2d(3),
    "adaptive max 4 5": nn.AdaptiveMaxPool2d((4, 5)),
    "adaptive avg 2": nn.AdaptiveAvgPool2d(2),
    "adaptive avg 4 5": nn.AdaptiveAvgPool2d((4, 5)),
    "lp pool": nn.LPPool2d(2, 2),
    "pixel shuffle": lambda x: F.pixel_shuffle(x[:, :4], 2),
    "pixel unshuffle": lambda x: F.pixel_unshuffle(x[:, :, :8, :6], 2),
    "channel shuffle": lambda x: F.channel_shuffle(x, 2),
    "reflect": nn.ReflectionPad2d(2),
    "replicate": nn.ReplicationPad2d(1),
    "circular": nn.CircularPad2d(1),
    "flip 1": lambda x: x.flip(1),
    "flip 2 3": lambda x: x.flip((2, 3)),
    "roll": lambda x: x.roll((1, 2), (2, 3)),
    "roll 1": lambda x: x.roll(1, 1),
    "unfold": lambda x: F.unfold(x, 3),
    "tensor unfold": lambda x: x.unfold(2, 3, 2),
    "where": lambda x: torch.where(x > 0.1, x, x * 0.5),
    "where channel": lambda x: torch.where(x > x[:, :1], x, 0.5),
    "ge": lambda x: (x >= 0.1).float(),
    "gt": lambda x: (x > x.mean((2, 3), keepdim=True)).float() * x,
    "masked": lambda x: x.masked_fill(x < 0.2, -1.0),
    "stack": lambda x: torch.stack([x, x * 2], 2).flatten(1, 2),
    "transpose": lambda x: x.transpose(2, 3),
    "permute": lambda x: x.permute(0, 3, 1, 2),
    "squeeze": lambda x: x[:, :1].squeeze(1),
    "select": lambda x: x[:, 2],
    "select pixel": lambda x: x[:, :, 3, 4],
    "upsample nearest": lambda x: F.interpolate(x, scale_factor=2),
    "upsample bilinear": lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"),
    "normalize": lambda x: F.normalize(x, dim=1),
    "glu": lambda x: F.glu(x, 1),
    "softplus": F.softplus,
    "attention": lambda x: (x.flatten(2).transpose(1, 2) @ x.flatten(2)).softmax(-1),
    "einsum": lambda x: torch.einsum("nchw,nchw->nhw", x, x + 1),
    "matmul": lambda x: x @ x.transpose(2, 3),
    "tril": lambda x: x.tril(),
    "constant image": lambda x: x + torch.arange(63.0).view(1, 1, 9, 7),
    "constant channels": lambda x: x * torch.arange(6.0).view(1, 6, 1, 1) + torch.ones(9, 7),
    "topk": lambda x: x.topk(2, 1).values,
}
OF_ANY_CHANNELS: dict[str, Callable[[Tensor], Tensor]] = {
    "softmax": lambda x: x.softmax(1),
    "softmax of columns": lambda x: x.softmax(3),
    "maximum": lambda x: x.amax(1, keepdim=True),
    "maximum of pixels": lambda x: F.adaptive_max_pool2d(x, 1),
    "mean": lambda x: x.mean(1),
    "flip": lambda x: x.flip(3),
    "roll": lambda x: x.roll(1, 1),
    "where": lambda x: torch.where(x > x.mean((2, 3), keepdim=True), x, x * 0.5),
    "every second pixel": lambda x: x[:, :, ::2, ::2],
    "view": lambda x: x.view(x.shape[0], -1),
    "view back": lambda x: x.flatten(2).view(x.shape) * 2,
    "softplus": F.softplus,
    "log_softmax": lambda x: F.log_softmax(x, 1),
    "repeat": lambda x: x.repeat(1, 3, 1, 1),
    "stack": lambda x: torch.stack([x, x * 2], 2).flatten(1, 2),
}
