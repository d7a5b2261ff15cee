"""Float operators that XNNPACK lacks, rewritten into those that it has."""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from deploy import Apply, Deployed, quarters
from torch import Tensor

from bittern import runtime
from bittern.export import to_pte

GAMMA, BETA = quarters(24), quarters(24, seed=1)


def heads(x: Tensor) -> Tensor:
    return x.reshape(2, 7, 3, 8).transpose(1, 2)


REWRITES: dict[str, tuple[Callable[[Tensor], Tensor], tuple[int, ...]]] = {
    "LayerNorm": (lambda x: F.layer_norm(x, (24,), GAMMA, BETA), (2, 7, 24)),
    "LayerNorm without weights": (lambda x: F.layer_norm(x, (24,)), (5, 24)),
    "mean over tokens": (lambda x: x.mean(1), (2, 7, 24)),
    "mean over features": (lambda x: x.mean(-1, keepdim=True), (2, 7, 24)),
    "attention": (lambda x: heads(x) @ heads(x).transpose(2, 3), (2, 7, 24)),
    "round": (lambda x: torch.round(x.clamp(-2, 2) * 3.5) / 3, (2, 4, 5, 5)),
    "split": (lambda x: torch.cat(list(F.relu(x).split([3, 4, 1], 1))[::-1], 1), (2, 8, 5, 5)),
    "split of a concatenation": (lambda x: torch.cat([x, F.relu(x)], 1).chunk(2, 1)[1] * 2, (2, 8, 5, 5)),
    "integers": (lambda x: (x * 2 + 1) / 3 - 7, (2, 8, 1, 1)),
}


@pytest.mark.parametrize("rewrite", REWRITES)
def test_it_runs_in_xnnpack_and_gives_the_same(rewrite: str, tmp_path: Path) -> None:
    function, shape = REWRITES[rewrite]
    module, x = Apply(function), torch.randn(shape, generator=torch.Generator().manual_seed(0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that nothing is binary
        export = to_pte(module, x, tmp_path / "m.pte")
    assert export.explanation.fallbacks == []
    result = runtime.load(tmp_path / "m.pte")(x.numpy())
    np.testing.assert_allclose(result, module(x).numpy(), rtol=1e-5, atol=1e-5)


def test_rounding_goes_to_even_and_large_numbers_are_left_alone() -> None:
    ties = torch.arange(-8, 8).reshape(1, 16) / 2
    bounded = Deployed(Apply(lambda x: torch.round(x.clamp(-4, 4))), ties)
    assert bounded.operators == ["aten::clamp", "aten::add", "aten::sub"]
    bounded.check_equal()
    assert Deployed(Apply(lambda x: torch.round(x)), ties).operators == ["aten::round"]
    assert Deployed(Apply(lambda x: torch.round(x.clamp(-1e7, 1e7))), ties).operators[-1] == "aten::round"


def test_two_batch_norms_of_one_delegate_keep_their_constants(tmp_path: Path) -> None:
    first, second = (torch.nn.BatchNorm2d(8).eval() for _ in range(2))
    for i, norm in enumerate((first, second)):
        norm.running_mean.copy_(quarters(8, seed=i))  # type: ignore[union-attr]
        norm.bias.data.copy_(quarters(8, seed=i + 2))
    module = torch.nn.Sequential(torch.nn.ReLU(), first, torch.nn.Sigmoid(), second)
    x = torch.randn(1, 8, 4, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        to_pte(module, x, tmp_path / "m.pte")
    result = runtime.load(tmp_path / "m.pte")(x.numpy())
    np.testing.assert_allclose(result, module(x).detach().numpy(), rtol=1e-5, atol=1e-5)
