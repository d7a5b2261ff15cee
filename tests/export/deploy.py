"""Helpers for tests of the exporter: small modules, and the deployed graph that the passes make of them."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from bittern.export import passes
from bittern.export.capture import capture, channels_last
from bittern.export.graph import Graph, operator_name


class Deployed:
    """A module behind the passes: its operators in order, and its result by their reference implementations."""

    def __init__(self, module: nn.Module, example: Tensor) -> None:
        self.module, self.example = module.eval(), example
        self.graph: Graph = capture(module, example).graph
        passes.run(self.graph)

    @property
    def operators(self) -> list[str]:
        names = [operator_name(node) for node in self.graph.calls()]
        return [name.removeprefix("bittern::") for name in names if "::" in name]

    @property
    def reasons(self) -> list[str]:
        return list(self.graph.reasons.values())

    def check_equal(self) -> None:
        """The deployed graph gives the module's result, bit for bit. Modules in tests compute without rounding."""
        with torch.no_grad():
            expected = self.module(self.example)
            result = self.graph.module(channels_last(self.example))
        assert torch.equal(expected, result), (expected - result).abs().max()


class Apply(nn.Module):
    """A module from a function of the input, with parameters by keyword."""

    def __init__(self, function: Callable[..., Tensor], **tensors: Tensor) -> None:
        super().__init__()
        self.function = function
        for name, tensor in tensors.items():
            self.register_parameter(name, nn.Parameter(tensor))

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, **dict(self.named_parameters()))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def powers_of_two(*shape: int, seed: int = 0) -> Tensor:
    """Random +-1/4 ... +-4: products and sums with small integers are exact, so results can be compared with ==."""
    random = generator(seed)
    exponents = torch.randint(-2, 3, shape, generator=random).float()
    signs = torch.randint(0, 2, shape, generator=random).float() * 2 - 1
    return signs * 2**exponents


def quarters(*shape: int, seed: int = 0) -> Tensor:
    """Random multiples of 1/4 in [-4, 4], zero included."""
    return torch.randint(-16, 17, shape, generator=generator(seed)).float() / 4


def exact_batch_norm(channels: int, seed: int = 0) -> nn.BatchNorm2d:
    """A BatchNorm whose multiplier is a power of two of either sign and whose addend is a multiple of 1/16."""
    norm = nn.BatchNorm2d(channels, eps=0.0)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.weight.data = powers_of_two(channels, seed=seed)
    norm.bias.data = quarters(channels, seed=seed + 1)
    norm.running_mean.copy_(quarters(channels, seed=seed + 2))
    norm.running_var.copy_(torch.full((channels,), 4.0))
    return norm
