import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import nn

from bittern.ops.binarize import binarize
from bittern.ops.estimators import ESTIMATORS, get_estimator

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
TINY = 2.0**-149  # smallest float32 above 0
AWKWARD = [-math.inf, -2.0, -1.0, -0.75, -0.5, -TINY, -0.0, 0.0, TINY, 0.25, 0.5, 1.0, 2.0, math.inf, math.nan]

# Estimators whose gradient is computed without rounding; test_estimators.py has all.
ANALYTIC = {
    "ste": lambda x: 1.0 if abs(x) <= 1 else 0.0,
    "ste_1.25": lambda x: 1.0 if abs(x) <= 1.25 else 0.0,
    "ste_1.3": lambda x: 1.0 if abs(x) <= 1.3 else 0.0,
    "ste_1.5": lambda x: 1.0 if abs(x) <= 1.5 else 0.0,
    "approx_sign": lambda x: 2 - 2 * abs(x) if abs(x) <= 1 else 0.0,
    "identity": lambda x: 1.0,
}


class TwoBinarized(nn.Module):
    """A convolution of signs by signs, with parameters that require a gradient."""

    def __init__(self, estimator: str) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 8, 3)
        self.estimator = estimator

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight = binarize(self.conv.weight, self.estimator)
        return nn.functional.conv2d(binarize(x, self.estimator), weight)


def call_targets(program: torch.export.ExportedProgram) -> list[object]:
    return [node.target for node in program.graph.nodes if node.op == "call_function"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_zero_negative_zero_and_nan_give_plus_one(dtype: torch.dtype) -> None:
    x = torch.tensor([0.0, -0.0, math.nan, -math.nan], dtype=dtype)
    assert binarize(x).tolist() == [1.0] * 4


@given(hnp.arrays("float32", hnp.array_shapes(min_dims=0, max_dims=4, min_side=0), elements=st.floats(width=32)))
def test_every_value_maps_to_minus_one_exactly_where_it_is_below_zero(values: object) -> None:
    x = torch.as_tensor(values)
    y = binarize(x)
    assert y.shape == x.shape
    assert torch.equal(y, torch.where(x < 0, -1.0, 1.0))


@pytest.mark.parametrize("dtype", DTYPES)
def test_dtype_is_kept_and_input_is_not_written(dtype: torch.dtype) -> None:
    x = torch.randn(5, 7).to(dtype)
    before = x.clone()
    assert binarize(x).dtype == dtype
    assert torch.equal(x, before)


@pytest.mark.parametrize("dtype", [torch.int32, torch.bool])
def test_a_tensor_without_fractions_is_refused_with_the_way_out(dtype: torch.dtype) -> None:
    with pytest.raises(TypeError, match=r"floating-point tensor, got torch\.(int32|bool); convert"):
        binarize(torch.ones(2, dtype=dtype))


def test_memory_layout_is_kept_and_strided_views_are_read() -> None:
    x = torch.randn(2, 8, 5, 5).to(memory_format=torch.channels_last)
    assert binarize(x).is_contiguous(memory_format=torch.channels_last)
    view = x[:, ::2, :, 1::2]
    assert torch.equal(binarize(view), binarize(view.contiguous()))


def test_out_form_fills_the_given_tensor_and_returns_it() -> None:
    x, out = torch.randn(3, 4), torch.empty(3, 4)
    result = torch.ops.bittern.binarize.out(x, out=out)
    assert result.data_ptr() == out.data_ptr()
    assert torch.equal(out, binarize(x))


def test_operator_passes_the_checks_of_torch_for_custom_operators() -> None:
    for x in (torch.randn(3, 4), torch.randn(2, 3, 4, 5, requires_grad=True)):
        torch.library.opcheck(torch.ops.bittern.binarize.default, (x,))


def test_meta_tensors_have_the_shape_dtype_and_layout_of_real_ones() -> None:
    x = torch.empty(2, 8, 5, 5, device="meta", dtype=torch.bfloat16).to(memory_format=torch.channels_last)
    y = binarize(x)
    assert (y.shape, y.dtype, y.stride(), y.device.type) == (x.shape, x.dtype, x.stride(), "meta")


@pytest.mark.parametrize("name", ANALYTIC)
@pytest.mark.parametrize("dtype", DTYPES)
def test_gradient_equals_the_analytic_one_at_awkward_points(name: str, dtype: torch.dtype) -> None:
    x = torch.tensor(AWKWARD, dtype=dtype, requires_grad=True)
    incoming = torch.linspace(-3, 3, len(AWKWARD)).to(dtype)
    binarize(x, name).backward(incoming)
    slope = torch.tensor([ANALYTIC[name](v) for v in x.tolist()], dtype=dtype)
    assert torch.equal(x.grad, slope * incoming)


@pytest.mark.parametrize("name", ANALYTIC)
@given(values=st.lists(st.floats(-1.5, 1.5, width=32), min_size=1, max_size=70))
def test_gradient_equals_the_analytic_one_everywhere(name: str, values: list[float]) -> None:
    x = torch.tensor(values, dtype=torch.float64, requires_grad=True)
    binarize(x, name).sum().backward()
    assert x.grad.tolist() == [ANALYTIC[name](v) for v in values]


def test_the_operator_called_directly_has_the_gradient_of_ste() -> None:
    x = torch.tensor(AWKWARD, requires_grad=True)
    torch.ops.bittern.binarize(x).sum().backward()
    assert x.grad.tolist() == [ANALYTIC["ste"](v) for v in AWKWARD]


@pytest.mark.parametrize("name", ESTIMATORS)
def test_estimator_states_its_equation_and_source(name: str) -> None:
    row = get_estimator(name)
    assert row.name == name
    assert row.equation.startswith("dL/dx = ")
    assert "arXiv:" in row.source


def test_an_unknown_estimator_is_refused_with_the_known_names_and_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"'aprox_sign': did you mean 'approx_sign'\? Known are approx_sign, "):
        binarize(torch.ones(1), "aprox_sign")


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("training", [False, True])
def test_exported_graph_shows_one_binarize_node_each_and_no_estimator(name: str, training: bool) -> None:
    module = TwoBinarized(name).train(training)
    program = torch.export.export(module, (torch.randn(1, 4, 8, 8),))
    binarized = torch.ops.bittern.binarize.default
    assert call_targets(program) == [binarized, binarized, torch.ops.aten.conv2d.default]
    x = torch.randn(1, 4, 8, 8)
    assert torch.equal(program.module()(x), module(x))
