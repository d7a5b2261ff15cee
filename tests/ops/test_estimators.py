"""Gradient estimators against their equations, at every stage of training."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from bittern.nn import BinaryConv2d, RSign, set_progress
from bittern.ops.binarize import binarize
from bittern.ops.estimators import ESTIMATORS, get_estimator, passes_at_one

NAMES = [*ESTIMATORS, "ste_0.8", "swish_sign_2", "swish_sign_12.5"]
SCHEDULED = [name for name, row in ESTIMATORS.items() if row.scheduled]
POINTS = [
    *(-math.inf, -2.0, -1.5, -1.25, -1.0, -0.75, -0.125, -1e-30, -0.0, 0.0, 1e-30, 0.0625, 0.1, 0.101, 0.5, 0.8, 1.0),
    *(1.25, 1.3, 1.5, 1.5001, 3.0, 40.0, math.inf, math.nan),
]


def number_in(name: str, default: float) -> float:
    return float(name.rpartition("_")[2]) if name[-1].isdigit() else default


def slope(name: str, x: float, p: float, dtype: torch.dtype) -> float:
    """The estimator's equation in Python's floats, with bounds as ``dtype`` has them."""

    def near(bound: float) -> float:
        return torch.tensor(bound, dtype=dtype).item()

    if name == "identity":
        return 1.0
    if not math.isfinite(x):
        return 0.0
    if name == "approx_sign":
        return max(2 - 2 * abs(x), 0.0)
    if name.startswith("ste"):
        return float(abs(x) <= near(number_in(name, 1.0)))
    if name.startswith("swish_sign"):
        b = number_in(name, 5.0)
        return b * (2 - b * x * math.tanh(b * x / 2)) / (1 + math.cosh(b * x)) if abs(b * x) < 700 else 0.0
    if name == "ede":
        t = 10 ** (2 * p - 1)
        return max(1 / t, 1) * t * (1 - math.tanh(t * x) ** 2)
    assert name == "reste"
    o = 1 + 2 * p
    steep = abs(x) ** ((1 - o) / o) / o if abs(x) > near(0.1) else 0.1 ** (1 / o) / 0.1
    return steep * (abs(x) <= 1.5)


def soft(name: str, x: Tensor, p: float) -> Tensor:
    """The function whose derivative the estimator is, where it has one."""
    if name.startswith("ste"):
        return x.clamp(-number_in(name, 1.0), number_in(name, 1.0))
    if name.startswith("swish_sign"):
        b = number_in(name, 5.0)
        return 2 * torch.sigmoid(b * x) * (1 + b * x * (1 - torch.sigmoid(b * x))) - 1
    if name == "approx_sign":
        inside = x.clamp(-1, 1)
        return 2 * inside - inside * inside.abs()
    if name == "ede":
        t = 10 ** (2 * p - 1)
        return max(1 / t, 1) * torch.tanh(t * x)
    if name == "reste":
        bounded = x.clamp(-1.5, 1.5)
        return bounded.sign() * bounded.abs() ** (1 / (1 + 2 * p))
    return x


def gradient(name: str, x: Tensor, p: float | Tensor | None = None, incoming: Tensor | None = None) -> Tensor:
    x = x.detach().requires_grad_()
    y = binarize(x, name, p)
    (grad,) = torch.autograd.grad(y, x, torch.ones_like(y) if incoming is None else incoming)
    return grad


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("progress", [0.0, 0.37, 1.0])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_gradient_is_the_stated_equation_at_every_stage(name: str, progress: float, dtype: torch.dtype) -> None:
    x = torch.tensor(POINTS, dtype=dtype)
    incoming = torch.linspace(0.5, 2, len(x)).to(dtype)
    slopes = torch.tensor([slope(name, v, progress, dtype) for v in x.tolist()], dtype=torch.float64)
    expected = slopes * incoming.double()
    # s (1 - s) is off by 4 units in a place of its own; it is multiplied by up to 4 * 10 (ede) or by 2 b (2 + v), where
    # v s (1 - s) is below 1/2. The argument of the sigmoid is off by one unit: as much again.
    eps = torch.finfo(dtype).eps
    factor = {"s": 2 * number_in(name, 5.0), "e": 10.0}.get(name[0], 0.0)
    atol = 0.0 if name.startswith("ste") else 8 * eps * factor
    # float32 at least holds the schedule, rounded to 2^-24.
    rtol = max(8 * eps, 1e-12)
    torch.testing.assert_close(gradient(name, x, progress, incoming).double(), expected, rtol=rtol, atol=atol)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("progress", [0.0, 0.25, 1.0])
def test_equation_is_the_derivative_of_the_soft_function(name: str, progress: float) -> None:
    # Between the points where a piece of the function begins: 0, 0.1, the clips.
    points = [-1.45, -1.28, -1.1, -0.85, -0.5, -0.15, 0.15, 0.35, 0.7, 0.9, 1.1, 1.27, 1.4, 1.9]
    x = torch.tensor(points, dtype=torch.float64)
    h = 1e-6
    difference = (soft(name, x + h, progress) - soft(name, x - h, progress)) / (2 * h)
    # h^2 / 6 times the third derivative, below 12.5^3 * 4, and rounding of the difference, 1e-16 / h.
    torch.testing.assert_close(gradient(name, x, progress), difference, rtol=1e-8, atol=2e-8)


@pytest.mark.parametrize("progress", [0.0, 0.5, 1.0])
def test_reste_near_zero_is_the_chord_of_its_power_function(progress: float) -> None:
    x = torch.tensor([-0.1, -0.05, 0.0, 0.07], dtype=torch.float64)
    chord = soft("reste", torch.tensor([0.1], dtype=torch.float64), progress) / 0.1
    torch.testing.assert_close(gradient("reste", x, progress), chord.expand(4))


def test_reste_ends_as_a_cube_root_and_starts_as_a_clipped_identity() -> None:
    assert gradient("reste", torch.tensor([0.05, 1.0, 1.5]), 0.0).tolist() == [1, 1, 1]
    torch.testing.assert_close(gradient("reste", torch.tensor([0.125]), 1.0), torch.tensor([4 / 3]))


def test_ede_starts_near_the_identity_and_ends_steep() -> None:
    x = torch.tensor([0.0, 1.0], dtype=torch.float64)
    assert gradient("ede", x, 0.0).tolist() == pytest.approx([1, 0.99], abs=1e-3)
    assert gradient("ede", x, 1.0).tolist() == pytest.approx([10, 0], abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_gradient_of_other_layouts_is_that_of_contiguous_values(name: str) -> None:
    x, incoming = torch.randn(2, 6, 5, 7), torch.randn(2, 6, 5, 7)
    expected = gradient(name, x, 0.5, incoming)
    for view in (x.to(memory_format=torch.channels_last), x.transpose(1, 3).contiguous().transpose(1, 3)):
        for given in (incoming, incoming.to(memory_format=torch.channels_last), incoming.flip(0).flip(0)):
            # Functions of a vector and of what is left of one may differ in the last bit.
            torch.testing.assert_close(gradient(name, view, 0.5, given), expected)
    part = gradient(name, x[:, ::2, :, 1::3], 0.5, incoming[:, ::2, :, 1::3])
    torch.testing.assert_close(part, expected[:, ::2, :, 1::3])
    expanded = gradient(name, torch.zeros(3), 0.5, torch.ones(1).expand(3))
    torch.testing.assert_close(expanded, gradient(name, torch.zeros(3), 0.5))


@pytest.mark.parametrize("name", NAMES)
def test_arguments_are_not_written(name: str) -> None:
    x, incoming = torch.randn(9), torch.randn(9)
    progress = torch.tensor(0.5)
    before = x.clone(), incoming.clone()
    gradient(name, x, progress, incoming)
    assert torch.equal(x, before[0])
    assert torch.equal(incoming, before[1])
    assert progress == 0.5


@pytest.mark.parametrize("name", NAMES)
def test_under_autocast_gradients_have_the_parameters_dtype(name: str) -> None:
    conv = BinaryConv2d(4, 4, 3, estimator=name, weight_estimator=name)
    with torch.autocast("cpu", torch.bfloat16):
        y = conv(torch.randn(1, 4, 5, 5))
    y.float().sum().backward()
    assert y.dtype == torch.bfloat16
    assert conv.weight.grad.dtype == torch.float32
    assert conv.weight.grad.isfinite().all()


@pytest.mark.parametrize("name", SCHEDULED)
def test_progress_is_a_number_or_a_tensor_which_may_change_before_the_backward_pass(name: str) -> None:
    x, p = torch.linspace(-1, 1, 9).requires_grad_(), torch.tensor(0.25)
    y = binarize(x, name, p)
    p.fill_(1.0)
    y.sum().backward()
    assert torch.equal(x.grad, gradient(name, x, 0.25))
    assert torch.equal(gradient(name, x), gradient(name, x, 0.0))
    assert not torch.equal(gradient(name, x), gradient(name, x, 1.0))


def test_the_schedule_is_as_precise_for_half_precision_as_for_single() -> None:
    steepest = gradient("ede", torch.zeros(1, dtype=torch.bfloat16), 0.9)
    assert steepest.item() == torch.tensor(10**0.8, dtype=torch.bfloat16).item()


@pytest.mark.parametrize("progress", [-0.1, 1.01, math.nan])
def test_progress_outside_the_training_is_refused(progress: float) -> None:
    with pytest.raises(ValueError, match=r"progress is the share of the training done, in \[0, 1\], got"):
        binarize(torch.ones(1), "ede", progress)


def test_which_estimators_pass_a_gradient_at_the_weights_of_latent_free_optimizers() -> None:
    passing = {name for name in NAMES if passes_at_one(name)}
    assert passing == {"ste", "ste_1.25", "ste_1.3", "ste_1.5", "identity", "reste", "swish_sign_2"}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_the_page_on_estimators_names_every_one(name: str) -> None:
    assert f"`{name}`" in (Path(__file__).parents[2] / "docs" / "estimators.md").read_text()


def test_any_clip_and_slope_can_be_named() -> None:
    row = get_estimator("ste_0.8")
    assert (row.name, row.equation) == ("ste_0.8", "dL/dx = dL/dy * 1{|x| <= 0.8}")
    assert get_estimator("ste_0.8") is row
    assert get_estimator("swish_sign_2").equation.endswith("b = 2")
    x = torch.randn(9)
    assert torch.equal(gradient("swish_sign_5", x), gradient("swish_sign", x))
    assert set(ESTIMATORS) & {"ste_0.8", "swish_sign_2"} == set()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ste_0", "the number in an estimator's name must be above 0, got 'ste_0'"),
        ("ste_", r"unknown estimator 'ste_': did you mean 'ste'\? Known are approx_sign, ede, "),
        ("ste_-1", "unknown estimator 'ste_-1'"),
        ("approx_sign_2", "unknown estimator 'approx_sign_2'.*did you mean 'approx_sign'"),
        ("ste_1e3", "unknown estimator"),
    ],
)
def test_a_name_that_means_nothing_is_refused(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        get_estimator(name)


class Net(nn.Module):
    """Every place where a layer binarizes, with the estimator in all of them."""

    def __init__(self, estimator: str) -> None:
        super().__init__()
        self.sign = RSign(4, estimator=estimator)
        self.conv = BinaryConv2d(4, 4, 3, binarize_input=False, weight_estimator=estimator, scale="mean")
        self.conv.weight.data.mul_(4)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.sign(x))


def gradients(net: nn.Module, forward: Callable[[Tensor], Tensor], x: Tensor) -> list[Tensor]:
    net.zero_grad()
    forward(x).square().sum().backward()
    return [parameter.grad.clone() for parameter in net.parameters()]


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # torch's own, of its tracer
@pytest.mark.parametrize("name", ["ste", "approx_sign", "swish_sign_4", *SCHEDULED])
def test_compiled_layers_have_the_same_gradients_and_are_compiled_once(name: str) -> None:
    torch._dynamo.reset()
    graphs = 0

    def backend(graph: torch.fx.GraphModule, example: list[Tensor]) -> Callable[..., object]:
        nonlocal graphs
        graphs += 1
        return torch._dynamo.lookup_backend("aot_eager")(graph, example)

    torch.manual_seed(0)
    net, x = Net(name), torch.randn(2, 4, 6, 6)
    compiled = torch.compile(net, backend=backend, fullgraph=True)
    seen = []
    for fraction in (0.0, 0.5, 1.0):
        set_progress(net, fraction)
        expected, found = gradients(net, net, x), gradients(net, compiled, x)
        for a, b in zip(expected, found, strict=True):
            torch.testing.assert_close(a, b)
        seen.append(found[0])
    assert graphs == 1
    assert torch.equal(seen[0], seen[2]) == (name not in SCHEDULED)
