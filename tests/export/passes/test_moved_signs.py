"""Signs that are reshaped, joined or split between the tensor that is binarized and the layer that reads them."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from deploy import Apply, Deployed, exact_batch_norm, powers_of_two, quarters
from torch import Tensor

from bittern.ops import binarize

WEIGHT, POINT = quarters(8, 64, 3, 3, seed=5), quarters(64, 64, 1, 1, seed=6)
ROWS = quarters(5, 64 * 36)


def conv(x: Tensor, weight: Tensor = WEIGHT) -> Tensor:
    return F.conv2d(x, binarize(weight))


def deploy(function: Callable[[Tensor], Tensor], channels: int = 64) -> Deployed:
    return Deployed(Apply(function), quarters(2, channels, 6, 6, seed=7))


MOVES: dict[str, tuple[Callable[[Tensor], Tensor], int, list[str]]] = {
    "flattened": (lambda x: F.linear(binarize(x).flatten(1), binarize(ROWS)), 64, ["linear"]),
    "reshaped": (lambda x: conv(binarize(x).reshape(2, 64, 4, 9)), 64, ["conv2d"]),
    "transposed": (lambda x: conv(binarize(x).transpose(2, 3)), 64, ["conv2d"]),
    "shuffled": (lambda x: conv(F.pixel_shuffle(binarize(x), 2)), 256, ["conv2d"]),
    "cropped": (lambda x: conv(binarize(x)[:, :, 1:, :5]), 64, ["conv2d"]),
    "some of the channels": (lambda x: conv(binarize(x)[:, 7:71]), 96, ["conv2d"]),
    "pooled and flattened": (
        lambda x: F.linear(F.max_pool2d(binarize(x), 1).flatten(1), binarize(ROWS)),
        64,
        ["linear"],
    ),
    "pooled and joined": (
        lambda x: conv(torch.cat([F.max_pool2d(binarize(x), 1), binarize(x - 1)], 1)),
        32,
        ["pack", "cat", "conv2d"],
    ),
    "joined": (lambda x: conv(torch.cat([binarize(x), binarize(x - 1)], 1)), 32, ["pack", "cat", "conv2d"]),
    "joined within a word": (
        lambda x: conv(torch.cat([binarize(x[:, :20]), binarize(x[:, 20:] - 1)], 1)),
        64,
        ["conv2d"],
    ),
    "split": (
        lambda x: torch.cat([conv(part, WEIGHT[:, :32]) for part in binarize(x).chunk(2, 1)], 1),
        64,
        ["slice", "slice", "conv2d", "conv2d"],
    ),
    "split in three": (
        lambda x: torch.cat([conv(p, WEIGHT[:, : p.shape[1]]) for p in binarize(x).split([32, 64, 10], 1)], 1),
        106,
        ["slice", "slice", "slice", "conv2d", "conv2d", "conv2d"],
    ),
}


@pytest.mark.parametrize("move", MOVES)
def test_signs_that_were_moved_are_packed(move: str) -> None:
    function, channels, operators = MOVES[move]
    deployed = deploy(function, channels)
    packed = [name for name in deployed.operators if "::" not in name]
    assert packed == ["pack", *operators]
    deployed.check_equal()


def test_a_dense_block_packs_each_part_and_joins_floats_once() -> None:
    weights = [quarters(32, 64 + 32 * i, 3, 3, seed=i) for i in range(3)]
    norms = [exact_batch_norm(64 + 32 * i).eval().requires_grad_(False) for i in range(3)]

    def block(x: Tensor) -> Tensor:
        for norm, weight in zip(norms, weights, strict=True):
            y = F.conv2d(binarize(norm(x)), binarize(weight), padding=1)
            x = torch.cat([x, y], 1)
        return x

    deployed = deploy(block)
    assert deployed.operators.count("aten::cat") == 1
    assert deployed.operators.count("cat") == 1 + 2
    assert not [name for name in deployed.operators if name in ("aten::conv2d", "aten::mul", "aten::add")]
    deployed.check_equal()


def test_more_parts_than_one_concatenation_takes_are_joined_in_groups() -> None:
    def join(x: Tensor) -> Tensor:
        y = conv(binarize(x), POINT)
        for i in range(6):
            y = torch.cat([y, F.relu(x - i)], 1)
        return y

    deployed = deploy(join)
    parts = [len(node.args[0]) for node in deployed.graph.calls(torch.ops.aten.cat.default)]  # type: ignore[arg-type]
    assert parts == [5, 2, 2]
    deployed.check_equal()


SCALE, SLOPE = powers_of_two(1, 128, 1, 1), powers_of_two(128, seed=3)
NORM = exact_batch_norm(128).eval().requires_grad_(False)


@pytest.mark.parametrize(
    "tail",
    [
        lambda y: y * SCALE,
        lambda y: y + 3.0,
        lambda y: F.prelu(y, SLOPE),
        lambda y: F.prelu(y, torch.tensor([0.5])),
        lambda y: F.leaky_relu(y, 0.25),
        lambda y: F.hardtanh(y, -9, 9),
        lambda y: NORM(y),
        lambda y: F.prelu(NORM(F.relu(y)), SLOPE) - SCALE,
    ],
)
def test_steps_behind_joined_layers_become_part_of_each_layer(tail: Callable[[Tensor], Tensor]) -> None:
    deployed = deploy(lambda x: tail(torch.cat([conv(binarize(x), POINT), conv(binarize(x), -POINT)], 1)))
    assert deployed.operators == ["pack", "conv2d", "conv2d", "aten::cat"]
    deployed.check_equal()


def test_a_step_that_mixes_channels_stays_behind_joined_layers() -> None:
    deployed = deploy(lambda x: torch.cat([conv(binarize(x), POINT), conv(binarize(x), -POINT)], 1).mean(1))
    assert deployed.operators == ["pack", "conv2d", "conv2d", "aten::cat", "aten::conv2d", "aten::reshape"]
    deployed.check_equal()


def test_channels_that_were_appended_last_are_improved_where_they_are() -> None:
    """MeliusNet's pair of blocks."""
    grow, improve = quarters(32, 64, 3, 3, seed=1), quarters(32, 96, 3, 3, seed=2)

    def pair(x: Tensor) -> Tensor:
        x = torch.cat([x, F.conv2d(binarize(x), binarize(grow), padding=1)], 1)
        y = F.conv2d(binarize(x), binarize(improve), padding=1)
        return torch.cat([x[:, :-32], x[:, -32:] + y], 1)

    deployed = deploy(pair)
    assert deployed.operators == ["pack", "conv2d_float_packed", "cat", "conv2d", "aten::cat"]
    assert deployed.graph.calls(torch.ops.bittern.conv2d.default)[0].kwargs.keys() == {"residual"}
    deployed.check_equal()


def test_a_slice_within_a_part_stays_a_slice() -> None:
    deployed = deploy(lambda x: torch.cat([x, F.relu(x)], 1)[:, 32:100])
    assert deployed.operators == ["aten::relu", "aten::cat", "aten::slice"]
    deployed.check_equal()
