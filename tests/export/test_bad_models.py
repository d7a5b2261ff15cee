"""Modules that cannot be exported: the message names the module, the operator and the way out, in a few lines."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bittern.export import ExportError, ExportWarning, passes, to_pte
from bittern.export.graph import Graph
from bittern.export.quiet import third_party_quiet
from bittern.ops import binarize
from bittern.runtime import load

LONGEST = 700
"""Characters of a message; torch's own run to several thousand."""


class Applied(nn.Module):
    def __init__(self, function: Callable[[nn.Module, Tensor], object], **modules: nn.Module) -> None:
        super().__init__()
        self.function = function
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, x: Tensor) -> object:
        return self.function(self, x)


def network(function: Callable[[nn.Module, Tensor], object], **modules: nn.Module) -> nn.Module:
    """``function`` as module ``blocks.1``, behind another layer."""
    net = nn.Sequential()
    net.add_module("blocks", nn.Sequential(nn.Conv2d(3, 3, 1), Applied(function, **modules)))
    return net


@torch.library.custom_op("bittern_tests::no_fake", mutates_args=())
def no_fake(x: Tensor) -> Tensor:
    return x * 2


@torch.library.custom_op("bittern_tests::no_kernel", mutates_args=())
def no_kernel(x: Tensor) -> Tensor:
    return x * 2


no_kernel.register_fake(torch.empty_like)


def halve_until_small(_: nn.Module, x: Tensor) -> Tensor:
    while x.abs().max() > 1:
        x = x / 2
    return x


def autocast(_: nn.Module, x: Tensor) -> Tensor:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return F.conv2d(binarize(x), torch.ones(4, 3, 1, 1)).float()


REFUSED: dict[str, tuple[Callable[[nn.Module, Tensor], object], tuple[str, ...]]] = {
    "if": (lambda _, x: x * 2 if x.sum() > 0 else x, ("blocks.1 (Applied)", "decides by values", "torch.where")),
    "while": (halve_until_small, ("blocks.1 (Applied)", "decides by values", "test_bad_models.py:")),
    "range": (lambda _, x: sum(x for _ in range(int(x.abs().max()))), ("blocks.1", "decides by values")),
    "cond": (
        lambda _, x: torch.cond(x.sum() > 0, lambda x: x * 2, lambda x: x + 1, (x,)),
        ("cond", "blocks.1", "control flow", "torch.where"),
    ),
    "item": (lambda _, x: x * x.mean().item(), ("aten::item in blocks.1", ".item()", "keep it a tensor")),
    "nonzero": (lambda _, x: x.nonzero().float(), ("aten::nonzero in blocks.1", "depends on the values")),
    "mask": (lambda _, x: x[x > 0], ("in blocks.1", "depends on the values", "torch.where")),
    "complex": (lambda _, x: torch.fft.fft(x).abs(), ("aten::fft_fft in blocks.1", "complex")),
    "float64": (lambda _, x: x.double().exp().float(), ("in blocks.1", "float64", ".float()")),
    "autocast": (
        autocast,
        ("aten::_to_copy in blocks.1", "bfloat16", "leave autocast to training", "enabled=self.training"),
    ),
    "float16": (lambda _, x: x.half().exp().float(), ("in blocks.1", "float16", ".float()")),
    "random": (lambda _, x: x + torch.rand_like(x), ("aten::rand_like in blocks.1", "random", "self.training")),
    "dropout": (
        lambda _, x: F.scaled_dot_product_attention(x, x, x, dropout_p=0.5),
        ("aten::scaled_dot_product_attention in blocks.1", "random", "self.training"),
    ),
    "rrelu": (lambda _, x: F.rrelu(x), ("cannot lower the model", "aten::rrelu")),
    "no fake": (
        lambda _, x: no_fake(x),
        ("blocks.1 (Applied)", "no fake kernel", "::no_fake", "register_fake"),
    ),
    "no kernel": (lambda _, x: no_kernel(x), ("bittern_tests::no_kernel in blocks.1", "no kernel in the engine")),
    "numpy": (lambda _, x: torch.from_numpy(x.numpy() * 2), ("blocks.1 (Applied)", "numpy", "torch operators")),
    "two results": (lambda _, x: (x, x * 2), ("returns 2 values", "one tensor")),
    "no result": (lambda _, x: None, ("returns None", "one tensor")),
    "integers": (lambda _, x: x.argmax(1), ("returns torch.int64", "float32", "logits")),
    "one number": (lambda _, x: x.sum(), ("one number", "one row for each image")),
    "no batch": (
        lambda _, x: x.flatten(1)[:, :10].squeeze(),
        ("shape [10]", "input of shape [1, 3, 8, 8]", "must be the batch", "squeeze(dim)"),
    ),
    "shape": (
        lambda _, x: F.conv2d(x, torch.ones(2, 4, 1, 1)),
        ("blocks.1 (Applied) fails", "4 channels"),
    ),
    "own error": (lambda _, x: {}["no such key"], ("blocks.1 (Applied) fails", "no such key")),
}


@pytest.mark.parametrize("case", REFUSED)
def test_the_message_names_the_module_and_the_way_out(case: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:  # type: ignore[type-arg]
    function, parts = REFUSED[case]
    with pytest.raises(ExportError) as caught:
        to_pte(network(function), torch.randn(1, 3, 8, 8), tmp_path / "x.pte")
    message = str(caught.value)
    for part in parts:
        assert part in message
    assert len(message) <= LONGEST
    assert "\n" not in message
    assert not list(tmp_path.iterdir())
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


# Operators for which ExecuTorch has a program, but no kernel, or one that fails: found by a run in another process.
CANNOT_RUN: dict[str, tuple[Callable[[nn.Module, Tensor], object], tuple[str, ...]]] = {
    "sort": (lambda _, x: x.sort(-1)[0], ("aten::sort in blocks.1",)),
    "3-D convolution": (lambda self, x: self.c(x[:, :, None])[:, :, 0], ("aten::conv3d in blocks.1.c",)),
}


@pytest.mark.parametrize("case", CANNOT_RUN)
def test_operators_that_only_fail_when_they_run_are_found_before(case: str, tmp_path: Path) -> None:
    function, parts = CANNOT_RUN[case]
    net = network(function, c=nn.Conv3d(3, 4, 1))
    with pytest.raises(ExportError, match="the engine cannot run") as caught:
        to_pte(net, torch.randn(1, 3, 8, 8), tmp_path / "x.pte")
    for part in (*parts, "operators that XNNPACK takes"):
        assert part in str(caught.value)
    assert len(str(caught.value)) <= LONGEST
    assert not list(tmp_path.iterdir())


class TwoInputs(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x + y


class WritesIntoItsInput(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.add_(1)


class Counts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x * self.calls


@pytest.mark.parametrize(
    ("module", "parts"),
    [
        (TwoInputs(), ("TwoInputs.forward(x", "one tensor alone", "wrap it")),
        (WritesIntoItsInput(), ("writes into x", "x.add_()")),
        (Counts(), ("writes into calls", "keeps nothing between calls")),
        (nn.Sequential(nn.Conv2d(3, 4, 1).half()), ("0.weight is torch.float16", "module.float()")),
        (nn.Sequential(nn.LazyConv2d(4, 1)), ("0.weight has no shape yet", "run the lazy module once")),
        (nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(4, 8, 3)), ("1 (Conv2d) fails", "4 channels, but got 8")),
        (nn.Conv2d(3, 8, 11), ("Conv2d fails", "Kernel size can't be greater")),
    ],
    ids=["two inputs", "writes input", "writes buffer", "half", "lazy", "channels", "kernel"],
)
@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature")
def test_modules_of_another_kind_are_told_apart(module: nn.Module, parts: tuple[str, ...], tmp_path: Path) -> None:
    with pytest.raises(ExportError) as caught:
        to_pte(module, torch.randn(1, 3, 8, 8), tmp_path / "x.pte")
    for part in parts:
        assert part in str(caught.value)
    assert len(str(caught.value)) <= LONGEST


@pytest.mark.parametrize(
    ("example", "message"),
    [
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), "one float32 tensor, got torch.uint8; use example.float()"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.long), "one float32 tensor, got torch.int64"),
        ((torch.zeros(1, 3, 8, 8),) * 2, "one float32 tensor, got tuple"),
        (torch.zeros(0, 3, 8, 8), "the example input is empty"),
        (torch.tensor(1.0), "no dimensions"),
    ],
)
def test_examples_of_another_kind_are_refused(example: Tensor, message: str, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=message):
        to_pte(nn.Conv2d(3, 4, 1), example, tmp_path / "x.pte")


def test_what_looks_unusual_but_runs_is_exported(tmp_path: Path) -> None:
    """An LSTM has dropout inside, a size decides, a branch is chosen by a setting: none of it depends on values."""

    def forward(self: nn.Module, x: Tensor) -> Tensor:
        rows = x.flatten(2) if x.shape[1] == 3 and not self.training else x
        rows, _ = self.lstm(torch.where(rows > 0, rows, binarize(rows)))
        return {"logits": rows[:, -1]}["logits"]

    net = network(forward, lstm=nn.LSTM(64, 8, batch_first=True)).train()
    with pytest.warns(ExportWarning):
        export = to_pte(net, torch.randn(1, 3, 8, 8), tmp_path / "x.pte")
    assert export.metadata.output_shape == (1, 8)


# Operators that could draw random numbers, and here draw none.
NOT_RANDOM: dict[str, nn.Module] = {
    "attention": Applied(lambda _, x: F.scaled_dot_product_attention(x, x, x)),
    "attention layer": Applied(lambda self, x: self.layer(x, x, x)[0], layer=nn.MultiheadAttention(8, 2)),
    "transformer": nn.TransformerEncoderLayer(8, 2, 16, batch_first=True),
}


@pytest.mark.parametrize("case", NOT_RANDOM)
def test_dropout_that_drops_nothing_is_no_random_number(case: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    net, x = NOT_RANDOM[case].eval(), torch.randn(1, 5, 8)
    with pytest.warns(ExportWarning):
        export = to_pte(net, x, tmp_path / "x.pte")
    with torch.no_grad():
        expected = net(x).numpy()
    # Sums of at most 16 products, in some ten layers: a few roundings of 2^-24 each.
    np.testing.assert_allclose(load(export.path)(x.numpy()), expected, rtol=0, atol=1e-5)


def test_one_number_for_each_image_is_exported(tmp_path: Path) -> None:
    with pytest.warns(ExportWarning):
        export = to_pte(network(lambda _, x: x.flatten(1)[:, 0]), torch.randn(1, 3, 8, 8), tmp_path / "x.pte")
    assert export.metadata.output_shape == (1,)


def test_an_output_that_mixes_a_dynamic_batch_with_channels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="must be the batch"):
        to_pte(network(lambda _, x: x.flatten(0, 1)), torch.randn(1, 3, 8, 8), tmp_path / "x.pte", max_batch=4)


@pytest.mark.parametrize(
    ("text", "blamed"),
    [
        ("cannot lower aten::hardswish.default", "(aten::hardswish in blocks.1)"),
        ("while executing %add_1 : [target=torch.ops.aten.add.Tensor]", "(aten::add in blocks.1)"),
        ("while executing %add : [target=torch.ops.aten.add.Tensor]", "(aten::add in the model itself)"),
        ("an additional aten::addmm, of which nothing here is one", "nothing here is one"),
    ],
)
def test_the_module_of_the_operator_that_cannot_be_lowered_is_named(
    text: str, blamed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = network(lambda _, x: F.hardswish(x + x)).blocks

        def forward(self, x: Tensor) -> Tensor:
            result: Tensor = self.blocks(x + 1)
            return result

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError(text)

    with third_party_quiet():  # it imports the module
        monkeypatch.setattr("executorch.exir.to_edge_transform_and_lower", refuse)
    with pytest.raises(ExportError, match="cannot lower the model") as caught:
        to_pte(Net(), torch.randn(1, 3, 8, 8), tmp_path / "x.pte")
    assert f"{blamed}. Use operators that XNNPACK takes" in str(caught.value)


def test_a_pass_that_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken_pass(_: Graph) -> None:
        raise IndexError("tuple index out of range\nand more")

    monkeypatch.setattr(passes, "PIPELINE", (*passes.PIPELINE, broken_pass))
    with pytest.raises(ExportError, match=r"broken_pass, .* fails on this model: tuple index out of range\. That"):
        to_pte(nn.Conv2d(3, 4, 1), torch.randn(1, 3, 8, 8), tmp_path / "x.pte")
