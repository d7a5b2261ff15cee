"""Random expressions of comparisons and signs give what PyTorch gives, at 0 and at every threshold."""

import random
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from deploy import Apply, Deployed, quarters
from torch import Tensor

from bittern.ops import binarize

Function = Callable[[Tensor], Tensor]
ROWS = quarters(64, 20)
NUMBERS = (-1.0, -0.5, -0.25, 0.0, 0.25, 0.5, 1.0, 2.0)
COMPARISONS = (torch.ge, torch.gt, torch.le, torch.lt, torch.eq, torch.ne)


def bits(draw: random.Random, depth: int) -> Function:
    """A random function with the values of bools."""
    compare, number = draw.choice(COMPARISONS), draw.choice(NUMBERS)
    if depth == 0 or draw.random() < 0.4:
        return lambda x: compare(x, number)
    inner = values(draw, depth - 1)
    first, second = bits(draw, depth - 1), bits(draw, depth - 1)
    return draw.choice(
        [
            lambda x: compare(inner(x), number),
            lambda x: ~first(x),
            lambda x: first(x) & second(x),
            lambda x: torch.logical_or(first(x), second(x)),
        ]
    )


def values(draw: random.Random, depth: int) -> Function:
    """A random function with a few float values."""
    number, other = draw.choice(NUMBERS), draw.choice(NUMBERS)
    condition = bits(draw, max(depth - 1, 0))
    if depth == 0:
        return draw.choice(
            [
                torch.sign,
                lambda x: condition(x).float(),
                lambda x: torch.where(condition(x), number, other),
                lambda x: torch.heaviside(x, torch.tensor(number)),
                lambda x: torch.round(x.clamp(0, 1)),
                binarize,
            ]
        )
    inner, another = values(draw, depth - 1), values(draw, depth - 1)
    return draw.choice(
        [
            lambda x: inner(x) * number,
            lambda x: inner(x) + number,
            lambda x: number - inner(x),
            lambda x: inner(x) * another(x),
            lambda x: inner(x) + another(x),
            lambda x: torch.sign(inner(x) + number),
            lambda x: torch.where(condition(x), inner(x), another(x)),
            lambda x: inner(x).masked_fill(condition(x), number),
            lambda x: inner(x).clamp(min=number),
            lambda x: inner(x).detach() - torch.tanh(x).detach() + torch.tanh(x),
        ]
    )


@pytest.mark.parametrize("seed", range(10))
def test_random_signs_give_what_the_module_gives(seed: int) -> None:
    draw = random.Random(seed)
    packed = 0
    for _ in range(12):
        function = values(draw, draw.randint(0, 3))
        module = Apply(lambda x, w, function=function: F.linear(function(x), binarize(w)), w=quarters(8, 20))
        deployed = Deployed(module, ROWS)
        packed += "linear" in deployed.operators
        with torch.no_grad():
            expected, result = module(ROWS), deployed.graph.module(ROWS)
        torch.testing.assert_close(result, expected, rtol=0, atol=1e-4, equal_nan=True)
    assert packed > 0
