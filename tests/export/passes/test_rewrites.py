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
    "every second pixel": (lambda x: x[:, :, ::2, ::2], (2, 5, 9, 7)),
    "every third row from the second": (lambda x: F.relu(x)[:, :, 1::3], (2, 5, 9, 7)),
    "every second pixel within": (lambda x: F.relu(x)[:, :, 1:6:2, 2:-1:3], (2, 5, 9, 7)),
    "every second column, then row": (lambda x: F.relu(x)[:, :, :, ::2][:, :, ::2], (2, 1, 9, 7)),
    "windows of one pixel": (lambda x: F.avg_pool2d(x, 1, 2) + F.max_pool2d(x, 1, 2), (2, 5, 9, 7)),
    "softmax over channels": (lambda x: F.relu(x).softmax(1), (2, 5, 9, 7)),
    "softmax over rows": (lambda x: F.relu(x).softmax(2), (2, 5, 9, 7)),
    "softmax over columns": (lambda x: F.relu(x).softmax(-1), (2, 5, 9, 7)),
    "softmax over tokens": (lambda x: x.softmax(1), (2, 7, 24)),
    "maximum over channels": (lambda x: x.amax(1), (2, 5, 9, 7)),
    "maximum over pixels": (lambda x: x.amax((-1, 2)), (2, 5, 9, 7)),
    "minimum over rows": (lambda x: x.amin(2, keepdim=True), (2, 5, 9, 7)),
    "values of max": (lambda x: x.max(1, keepdim=True).values, (2, 5, 9, 7)),
    "values of min": (lambda x: x.min(3).values, (2, 1, 9, 7)),
    "adaptive max pooling to a pixel": (lambda x: F.adaptive_max_pool2d(x, 1), (2, 5, 9, 7)),
    "adaptive max pooling of even windows": (lambda x: F.adaptive_max_pool2d(x, (3, 2)), (2, 5, 9, 7)),
    "adaptive max pooling of uneven windows": (lambda x: F.adaptive_max_pool2d(x, (4, 5)), (2, 5, 9, 7)),
    "adaptive max pooling of every pixel": (lambda x: F.adaptive_max_pool2d(x, (9, 7)) * 2, (2, 5, 9, 7)),
    "mean over channels": (lambda x: x.mean(1), (2, 5, 9, 7)),
    "mean over channels that stay": (lambda x: x.mean(1, keepdim=True), (2, 5, 9, 7)),
    "negative padding": (lambda x: F.pad(F.relu(x), (-1, 2, -2, -1), value=3.0), (2, 5, 9, 7)),
    "a crop": (lambda x: F.pad(F.relu(x), (-1, -1)), (2, 5, 9, 7)),
    "a crop of channels": (lambda x: F.pad(F.relu(x), (0, 0, 0, 0, -2, 1)), (2, 5, 9, 7)),
    "PReLU of rows": (lambda x: F.prelu(x, torch.linspace(-0.5, 0.5, 24)), (5, 24)),
    "PReLU of rows with one slope": (lambda x: F.prelu(x * 2, torch.tensor([0.2])), (5, 24)),
    "PReLU of tokens": (lambda x: F.prelu(x, torch.linspace(-0.5, 0.5, 7)), (2, 7, 24)),
    "PReLU of images": (lambda x: F.prelu(x, torch.linspace(-0.5, 0.5, 5)), (2, 5, 9, 7)),
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


LEFT_ALONE: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "every second channel": (lambda x: x[:, ::2], "aten::slice"),
    "pixels without steps": (lambda x: x[:, :, 1:3], "aten::slice"),
    "windows of one pixel, with padding": (lambda x: F.max_pool2d(x, (1, 2), 2, (0, 1)), "aten::max_pool2d"),
    "places of maxima": (lambda x: torch.add(*x.max(1)), "aten::max"),
    "maxima of whole images": (lambda x: x.amax((1, 2, 3)), "aten::amax"),
    "softmax of rows": (lambda x: x.flatten(2).softmax(-1), "aten::softmax"),
    "padding": (lambda x: F.pad(x, (1, 2)), "aten::pad"),
    "reflection that cuts off": (lambda x: F.pad(x, (-1, 1, 0, 0), mode="reflect"), "aten::pad"),
}


@pytest.mark.parametrize("case", LEFT_ALONE)
def test_what_xnnpack_takes_or_has_no_form_for_is_left_alone(case: str) -> None:
    function, operator = LEFT_ALONE[case]
    deployed = Deployed(Apply(function), quarters(4, 5, 9, 7))
    assert operator in deployed.operators
    assert not {"aten::conv2d", "aten::permute"} & set(deployed.operators)
    deployed.check_equal()


def test_two_steps_of_a_slice_are_one_convolution() -> None:
    deployed = Deployed(Apply(lambda x: x[:, :, 1::2, ::3]), quarters(2, 5, 9, 7))
    assert deployed.operators == ["aten::slice", "aten::conv2d"]
    deployed.check_equal()


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
