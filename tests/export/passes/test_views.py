"""Every spelling of an operation gives the same view; anything else gives None."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from deploy import Apply, Deployed, quarters
from torch import Tensor, fx

from bittern.export.capture import capture
from bittern.export.graph import Graph
from bittern.export.passes.views import (
    Arithmetic,
    Clamp,
    Concat,
    ConvLayer,
    LinearLayer,
    MaxPool2d,
    Pack,
    PackedLayer,
    Pad,
    PaddedInput,
    PRelu,
    Slice,
    matching,
)
from bittern.ops import binarize

IMAGE, WEIGHT = quarters(2, 6, 8, 9), quarters(4, 6, 3, 2)


def captured(function: Callable[[Tensor], Tensor], x: Tensor = IMAGE) -> Graph:
    return capture(Apply(function), x).graph


def only(graph: Graph, match: Callable[[fx.Node], Any]) -> Any:
    (view,) = matching(graph, match)
    return view


@pytest.mark.parametrize(
    ("options", "stride", "padding", "dilation"),
    [
        ({}, (1, 1), (0, 0, 0, 0), (1, 1)),
        ({"padding": "valid", "stride": 2}, (2, 2), (0, 0, 0, 0), (1, 1)),
        ({"padding": 1, "stride": (2, 3)}, (2, 3), (1, 1, 1, 1), (1, 1)),
        ({"padding": (2, 1), "dilation": 2}, (1, 1), (2, 2, 1, 1), (2, 2)),
        ({"padding": "same", "dilation": (2, 1)}, (1, 1), (2, 2, 0, 1), (2, 1)),
    ],
)
def test_a_convolution_has_pairs_and_four_paddings(
    options: dict[str, Any], stride: object, padding: object, dilation: object
) -> None:
    conv = only(captured(lambda x: F.conv2d(x, WEIGHT, **options)), ConvLayer.match)
    assert (conv.stride, conv.padding, conv.dilation) == (stride, padding, dilation)
    assert (conv.kernel_size, conv.groups, conv.bias) == ((3, 2), 1, None)
    assert LinearLayer.match(conv.node) is None


@pytest.mark.parametrize(
    ("pad", "value", "mode", "own", "expected"),
    [
        ((1, 2, 3, 0), 0.0, "constant", 0, ((3, 0, 1, 2), 0.0)),
        ((1, 2), 0.0, "constant", 1, ((1, 1, 2, 3), 0.0)),
        ((1, 2), 1.0, "constant", 0, ((0, 0, 1, 2), 1.0)),
        ((1, 2), 1.0, "constant", 1, (None, 1.0)),  # two borders of different values
        ((-1, 0), 0.0, "constant", 1, ((1, 1, 1, 1), 0.0)),  # a crop stays in front
        ((1, 1, 1, 1), 0.0, "reflect", 1, ((1, 1, 1, 1), 0.0)),
    ],
)
def test_the_paddings_of_a_layer_are_one_border(
    pad: tuple[int, ...], value: float, mode: str, own: int, expected: object
) -> None:
    options = {"value": value} if mode == "constant" else {}
    graph = captured(lambda x: F.conv2d(F.pad(x, pad, mode, **options), WEIGHT, padding=own))
    conv = only(graph, ConvLayer.match)
    padded = PaddedInput.of(conv)
    assert (padded.padding, padded.value) == expected
    looked_through = padded.source is not conv.input
    assert looked_through == (mode == "constant" and min(pad) >= 0)
    assert (Pad.match(conv.input) is not None) == looked_through


@pytest.mark.parametrize(
    ("function", "bounds"),
    [
        (F.relu, (0, None)),
        (F.relu6, (0, 6)),
        (lambda x: F.hardtanh(x, -2, 3), (-2, 3)),
        (lambda x: x.clamp(min=1), (1, None)),
        (lambda x: x.clamp(max=1), (None, 1)),
        (lambda x: x.clamp_min(1), (1, None)),
    ],
)
def test_everything_like_relu_is_a_clamp(function: Callable[[Tensor], Tensor], bounds: object) -> None:
    clamp = only(captured(function), Clamp.match)
    assert (clamp.low, clamp.high) == bounds


V = quarters(1, 6, 1, 1, seed=1).abs() + 1


@pytest.mark.parametrize(
    ("function", "factor", "addend"),
    [
        (lambda x: x + V, None, V),
        (lambda x: V + x, None, V),
        (lambda x: x - V, None, -V),
        (lambda x: V - x, -torch.ones_like(V), V),
        (lambda x: x * V, V, None),
        (lambda x: x / V, 1 / V, None),
        (lambda x: x * 3, torch.tensor(3.0), None),
        (lambda x: 3 - x, torch.tensor(-1.0), torch.tensor(3.0)),
    ],
)
def test_arithmetic_with_a_constant_is_an_affine_map(
    function: Callable[[Tensor], Tensor], factor: Tensor | None, addend: Tensor | None
) -> None:
    graph = captured(function)
    step = only(graph, lambda node: Arithmetic.match(graph, node))
    for found, expected in zip(step.affine(step.value), (factor, addend), strict=True):
        assert (found is None) == (expected is None)
        assert found is None or expected is None or torch.equal(found.float(), expected)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x + x,
        lambda x: V / x,
        lambda x: x / (V - V),
        lambda x: x.mean(1, keepdim=True) + V,  # x has not the shape of the result
    ],
)
def test_other_arithmetic_is_none(function: Callable[[Tensor], Tensor]) -> None:
    deployed = Deployed(Apply(function), IMAGE)
    assert list(matching(deployed.graph, lambda node: Arithmetic.match(deployed.graph, node))) == []


def test_dimensions_count_from_the_front_and_slices_are_ranges() -> None:
    graph = captured(lambda x: torch.cat([torch.cat([x, x[:, -4:]], -3), x[:, ::2]], 1)[:, :, :1])
    inner, outer = matching(graph, Concat.match)
    assert (outer.dim, inner.dim) == (1, 1)
    assert outer.leaves() == [*inner.parts, outer.parts[1]]
    # A slice that leaves values out is none.
    assert [(cut.dim, cut.start, cut.end) for cut in matching(graph, Slice.match)] == [(1, 2, 6), (2, 0, 1)]


def test_pooling_without_a_stride_moves_by_its_window() -> None:
    pool = only(captured(lambda x: F.max_pool2d(x, (3, 2), padding=(1, 0))), MaxPool2d.match)
    assert (pool.kernel_size, pool.stride, pool.padding, pool.dilation) == ((3, 2), (3, 2), (1, 0), (1, 1))


def test_a_slope_is_a_number_or_a_constant() -> None:
    slopes = V.flatten()
    graph = captured(lambda x: F.prelu(F.leaky_relu(x, 0.5), slopes))
    leaky, learned = matching(graph, PRelu.match)
    assert leaky.slope == 0.5
    constant = graph.constant(learned.slope)
    assert constant is not None
    assert torch.equal(constant, slopes)


@pytest.mark.parametrize("value", [None, 1, "relu", [1, 2]])
def test_what_is_no_call_matches_no_view(value: object) -> None:
    views = (ConvLayer, LinearLayer, Pad, MaxPool2d, Clamp, PRelu, Concat, Slice, Pack, PackedLayer)
    assert [view.match(value) for view in views] == [None] * len(views)


def test_a_packed_layer_has_its_geometry_and_epilogue_in_every_form() -> None:
    second, rows = quarters(40, 4, 1, 1), quarters(10, 40)

    def network(x: Tensor) -> Tensor:
        x = F.relu(F.conv2d(binarize(x), binarize(WEIGHT), stride=2, padding=1)) - 2.5
        x = F.conv2d(binarize(x), binarize(second))
        return F.linear(binarize(x.mean((2, 3))), binarize(rows)) + 1.0

    layers = list(matching(Deployed(Apply(network), IMAGE).graph, PackedLayer.match))
    forms = [layer.node.target for layer in layers]
    assert forms == [layers[0].forms.threshold, layers[1].forms.value, layers[2].forms.value]
    first, _, last = (layer.geometry for layer in layers)
    assert (first.in_channels, first.out_channels, first.depth) == (6, 4, 36)
    assert (first.stride, first.padding) == ((2, 2), (1, 1, 1, 1))
    assert (last.in_channels, last.out_channels, last.kernel_size) == (40, 10, (1, 1))
    assert [layer.channel_dim for layer in layers] == [1, 1, -1]
    assert list(layers[2].epilogue) == ["add"]
    assert [PackedLayer.match_float(layer.node) is None for layer in layers] == [True, False, False]


def test_nodes_that_a_rewrite_erased_are_left_out() -> None:
    graph = captured(lambda x: F.relu(F.relu(x)))
    seen = []
    for clamp in matching(graph, Clamp.match):
        seen.append(clamp)
        for user in list(clamp.node.users):
            if Clamp.match(user) is not None:
                graph.replace(user, clamp.node)
    assert len(seen) == 1
