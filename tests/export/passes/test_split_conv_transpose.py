import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from deploy import Apply, Deployed, exact_batch_norm, powers_of_two, quarters
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import bittern
from bittern.nn import BinaryConv2d, BinaryConvTranspose2d
from bittern.ops import binarize


def filters(groups: int, inputs: int, outputs: int, kernel: tuple[int, int], seed: int = 0) -> Tensor:
    """[groups * inputs, outputs, kh, kw]: +-s(o) for each output channel o."""
    signs = powers_of_two(groups, inputs, outputs, *kernel, seed=seed).sign()
    return (signs * powers_of_two(groups, 1, outputs, 1, 1, seed=seed + 1)).flatten(0, 1)


SIGNS = filters(1, 5, 8, (3, 3))
REAL = quarters(5, 8, 3, 3)
ONES = torch.ones(4, 8, 3, 3)
SLOPE = powers_of_two(8).abs()
NORM = exact_batch_norm(8).eval().requires_grad_(False)


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(
    groups=st.integers(1, 3),
    channels=st.tuples(st.integers(1, 5), st.integers(1, 4)),
    kernel=st.tuples(st.integers(1, 5), st.integers(1, 4)),
    stride=st.tuples(st.integers(1, 4), st.integers(1, 3)),
    padding=st.tuples(st.integers(0, 3), st.integers(0, 2)),
    added=st.tuples(st.integers(0, 3), st.integers(0, 2)),
    dilation=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    size=st.tuples(st.integers(1, 7), st.integers(1, 6)),
    bias=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_every_geometry_is_packed_and_exact_to_the_border(
    groups: int,
    channels: tuple[int, int],
    kernel: tuple[int, int],
    stride: Any,
    padding: Any,
    added: Any,
    dilation: Any,
    size: tuple[int, int],
    bias: bool,
    seed: int,
) -> None:
    assume(all(a < max(s, d) for a, s, d in zip(added, stride, dilation, strict=True)))
    sizes = [
        (n - 1) * s - 2 * p + d * (k - 1) + a + 1
        for n, s, p, d, k, a in zip(size, stride, padding, dilation, kernel, added, strict=True)
    ]
    assume(min(sizes) > 0)
    weight = filters(groups, *channels, kernel, seed)
    offset = quarters(groups * channels[1], seed=seed) if bias else None

    def network(x: Tensor) -> Tensor:
        return F.conv_transpose2d(binarize(x), weight, offset, stride, padding, added, groups, dilation)

    deployed = Deployed(Apply(network), quarters(2, groups * channels[0], *size, seed=seed))
    assert set(deployed.operators) & {"aten::conv_transpose2d", "aten::conv2d", "binarize"} == set()
    assert "conv2d" in deployed.operators
    assert deployed.reasons == []
    deployed.check_equal()


def test_bits_between_transposed_layers_are_interleaved_as_bits() -> None:
    def network(x: Tensor) -> Tensor:
        y = F.conv_transpose2d(binarize(x), SIGNS, None, 2, 1, 1)
        y = F.prelu(NORM(y), SLOPE) + 0.25
        return F.conv2d(binarize(y), ONES, padding=1)

    deployed = Deployed(Apply(network), quarters(2, 5, 4, 3))
    packed = [name for name in deployed.operators if "::" not in name]
    assert packed == ["pack", *["conv2d_threshold"] * 4, "cat", "cat", "cat", "conv2d"]
    assert set(deployed.operators) - set(packed) == {"aten::view"}
    deployed.check_equal()


def test_pixels_that_are_joined_in_another_order_are_not_taken_for_images_in_turn() -> None:
    def network(x: Tensor) -> Tensor:
        line = torch.cat([x.permute(0, 3, 2, 1), x.relu().permute(0, 3, 2, 1)], 3).view(2, 4, 40)
        image = torch.cat([line, -line], 2).view(2, 8, 8, 5).permute(0, 3, 1, 2)
        return F.conv2d(binarize(image), SIGNS[:, :4].transpose(0, 1).sign())

    deployed = Deployed(Apply(network), quarters(2, 5, 4, 4))
    assert deployed.operators.count("pack") == 1
    assert "cat" not in deployed.operators
    deployed.check_equal()


def test_what_reads_other_pixels_stays_behind_the_whole_image() -> None:
    def network(x: Tensor) -> Tensor:
        y = F.conv_transpose2d(binarize(x), SIGNS, None, 2)
        return F.relu(NORM(y)) + F.max_pool2d(y, 3, 1, 1)

    deployed = Deployed(Apply(network), quarters(2, 5, 4, 3))
    assert deployed.operators.count("conv2d") == 4
    assert "aten::max_pool2d" in deployed.operators
    deployed.check_equal()


@pytest.mark.parametrize("stride", [1, 2])
def test_sets_of_two_values_and_zeros_are_split_like_those_of_convolutions(stride: int) -> None:
    dropped = torch.where(powers_of_two(5, 8, 3, 3, seed=4).abs() > 2, 0.0, SIGNS)
    for other in (torch.where(SIGNS > 0, 2.0, 0.0), dropped):
        deployed = Deployed(
            Apply(lambda x, w=other: F.conv_transpose2d(binarize(x), w, None, stride, 1)), quarters(1, 5, 4, 3)
        )
        assert "aten::conv_transpose2d" not in deployed.operators
        deployed.check_equal()
    shifted = Deployed(
        Apply(lambda x: F.conv_transpose2d(binarize(x) * 0.5 + 0.5, SIGNS, None, stride, 1)), quarters(1, 5, 4, 3)
    )
    assert "aten::conv_transpose2d" not in shifted.operators
    shifted.check_equal()


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (lambda x: F.conv_transpose2d(x, SIGNS), "its weights are binary, but its input is not bin"),
        (lambda x: F.conv_transpose2d(x, REAL), "real-valued"),
        (lambda x: F.conv_transpose2d(binarize(x), REAL), "its input is binary, but 8 of its 8"),
        (lambda x: F.conv_transpose2d(binarize(x), x[0, :, None, :2, :2]), "its weights are computed from the input"),
        (
            lambda x: F.conv_transpose2d(F.pad(binarize(x), [1] * 4, value=1.0), SIGNS),
            "its input is padded in front of it",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_packed_stays_and_says_why(network: Any, reason: str) -> None:
    deployed = Deployed(Apply(network), quarters(1, 5, 4, 3))
    assert "aten::conv_transpose2d" in deployed.operators
    assert any(each.startswith(reason) for each in deployed.reasons), deployed.reasons
    deployed.check_equal()


def test_a_decoder_runs_in_the_engine_without_slow_operators(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1),
        BinaryConvTranspose2d(16, 40, 3, stride=2, padding=1, output_padding=1),
        nn.BatchNorm2d(40),
        nn.PReLU(40),
        BinaryConv2d(40, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        BinaryConvTranspose2d(16, 8, 3, stride=2, padding=1, groups=2, scale="mean"),
        nn.BatchNorm2d(8),
        nn.Conv2d(8, 2, 1),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        export = bittern.export.to_pte(net, torch.randn(1, 3, 6, 5), tmp_path / "net.pte", max_batch=3)
    assert export.explanation.fallbacks == []
    assert [operator.op for operator in export.metadata.operators].count("conv2d_threshold") == 5
