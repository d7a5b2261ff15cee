"""What the rows of all files share."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Idiom:
    """``repository``: owner and name. ``particular``: what its code does and others do not. ``layers``: binary ones."""

    repository: str
    particular: str
    build: Callable[[], nn.Module]
    layers: int
    shape: tuple[int, ...] = (2, 3, 16, 16)

    def network(self) -> nn.Module:
        """As if trained: BatchNorm has statistics, shifts and slopes are not those of the start."""
        torch.manual_seed(0)
        module = self.build()
        for each in module.modules():
            if isinstance(each, (nn.BatchNorm1d, nn.BatchNorm2d)):
                nn.init.uniform_(each.weight, 0.5, 1.5)
                nn.init.normal_(each.bias, 0, 0.3)
                each.running_mean.normal_(0, 0.5)
                each.running_var.uniform_(0.5, 4)
        for name, parameter in module.named_parameters():
            if "shift" in name:
                nn.init.normal_(parameter, 0, 0.2)
        return module.eval()

    def example(self) -> Tensor:
        return torch.randn(self.shape, generator=torch.Generator().manual_seed(1))


class Shift(nn.Module):
    """A learned number for each channel, added."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.shift.expand_as(x)


def stem(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels))


class Head(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc = nn.Linear(channels, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(nn.functional.adaptive_avg_pool2d(x, 1).view(x.size(0), -1))
