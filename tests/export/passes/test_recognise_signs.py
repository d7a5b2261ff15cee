"""Signs in every spelling: the same bits as the module's at 0 too, or float with the reason."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from deploy import Apply, Deployed, powers_of_two, quarters
from torch import Tensor, nn

from bittern.export import ExportWarning, summary, to_pte
from bittern.ops import binarize
from bittern.runtime import load

IMAGE = quarters(2, 6, 9, 7)  # with zeros among its values
FILTERS = quarters(8, 6, 3, 3) + 0.125  # without

Function = Callable[[Tensor], Tensor]


class Straight(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return torch.where(x >= 0, torch.ones_like(x), -torch.ones_like(x))

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:
        return gradient


def zeros_made_one(x: Tensor) -> Tensor:
    signs = torch.sign(x)
    signs[signs == 0] = 1
    return signs


def residue(hard: Function) -> Function:
    def estimated(x: Tensor) -> Tensor:
        soft = torch.tanh(x)
        return hard(x).detach() - soft.detach() + soft

    return estimated


SPELLINGS: dict[str, Function] = {
    "where": lambda x: torch.where(x >= 0, 1.0, -1.0),
    "where, tensors": lambda x: torch.where(x >= 0, torch.ones_like(x), -torch.ones_like(x)),
    "where, constants": lambda x: torch.where(x >= 0, torch.tensor(1.0), torch.tensor(-1.0)),
    "where not": lambda x: torch.where(x < 0, -1.0, 1.0),
    "where not not": lambda x: torch.where(~(x >= 0), -1.0, 1.0),
    "above": lambda x: torch.where(x > 0, 1.0, -1.0),
    "at most": lambda x: torch.where(x <= 0, -1.0, 1.0),
    "falls": lambda x: torch.where(x >= 0, -1.0, 1.0),
    "falls above": lambda x: torch.where(x > 0, -1.0, 1.0),
    "number first": lambda x: torch.where(x >= 0, 1.0, -1.0),
    "2b - 1": lambda x: 2 * (x >= 0).float() - 1,
    "2b - 1, above": lambda x: 2.0 * (x > 0) - 1,
    "ints": lambda x: ((x >= 0).int() * 2 - 1).float(),
    "type_as": lambda x: (x >= 0).type_as(x) * 2 - 1,
    "to": lambda x: (x > 0).to(x.dtype).mul(2).sub(1),
    "bits": lambda x: (x > 0).float(),
    "bits, scaled": lambda x: (x >= 0).float() * 0.25,
    "heaviside": lambda x: torch.heaviside(x, torch.tensor(1.0)),
    "heaviside, 0": lambda x: torch.heaviside(x, torch.zeros(1)) * 2 - 1,
    "sign of sign": lambda x: torch.sign(torch.sign(x) + 0.5),
    "add": lambda x: x.sign().add(0.1).sign(),
    "subtract": lambda x: x.sign().sub(0.5).sign(),
    "zeros made one": zeros_made_one,
    "where zero": lambda x: torch.where(torch.sign(x) == 0, torch.tensor(1.0), torch.sign(x)),
    "masked_fill": lambda x: torch.sign(x).masked_fill(x == 0, -1),
    "eq": lambda x: torch.sign(x) + (x == 0).float(),
    "clamp of sign": lambda x: x.sign().clamp(min=0) * 2 - 1,
    "1 - 2b": lambda x: 1 - 2 * (x < 0).float(),
    "threshold": lambda x: torch.where(x >= 0.25, 1.0, -1.0),
    "threshold, above": lambda x: torch.where(x > -0.5, 1.0, -1.0),
    "set": lambda x: torch.where(x >= 0, 0.75, -0.25),
    "round": lambda x: torch.round(x.clamp(0, 1)) * 2 - 1,
    "round, then clamp": lambda x: (x / 0.5).round().clamp(0, 1) * 2 - 1,
    "floor": lambda x: torch.floor(x.clamp(0, 1)),
    "function": Straight.apply,
    "relu of sign": lambda x: torch.relu(torch.sign(x)),
    "sign of relu": lambda x: torch.sign(torch.relu(x)),
    "logical": lambda x: torch.logical_not(x < 0).float() * 2 - 1,
    "hardtanh": lambda x: torch.sign(F.hardtanh(x) + 0.1),
}


@pytest.mark.parametrize("estimate", [False, True], ids=["plain", "straight-through"])
@pytest.mark.parametrize("name", SPELLINGS)
def test_a_spelling_of_signs_is_packed_with_its_own_value_at_zero(name: str, estimate: bool) -> None:
    sign = residue(SPELLINGS[name]) if estimate else SPELLINGS[name]
    deployed = Deployed(Apply(lambda x, w, b: F.conv2d(sign(x), binarize(w), b), w=FILTERS, b=quarters(8)), IMAGE)
    assert deployed.operators == ["pack", "conv2d"]
    assert deployed.reasons == []
    check(deployed)


def check(deployed: Deployed) -> None:
    """Up to the rounding that a straight-through residue leaves in PyTorch."""
    with torch.no_grad():
        expected, result = deployed.module(deployed.example), deployed.graph.module(deployed.example)
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("zero", [0.0, -0.0, 2.0**-149, -(2.0**-149)])
@pytest.mark.parametrize("name", ["where", "above", "at most", "falls", "falls above", "sign of sign", "masked_fill"])
def test_thresholds_are_exact_to_the_last_unit(name: str, zero: float) -> None:
    sign = SPELLINGS[name]
    deployed = Deployed(
        Apply(lambda x, w: F.linear(sign(x), binarize(w)), w=quarters(4, 20)), torch.full((2, 20), zero)
    )
    assert deployed.operators == ["pack", "linear"]
    deployed.check_equal()


@pytest.mark.parametrize("name", ["where", "above", "set", "bits", "round"])
def test_a_spelling_behind_shifts_scales_and_clamps_moves_its_own_threshold(name: str) -> None:
    def function(x: Tensor, w: Tensor, s: Tensor, t: Tensor) -> Tensor:
        return F.conv2d(SPELLINGS[name](F.hardtanh((x - t) * s, -3, 3)), binarize(w))

    tensors = {"w": FILTERS, "s": powers_of_two(1, 6, 1, 1), "t": quarters(1, 6, 1, 1, seed=3)}
    deployed = Deployed(Apply(function, **tensors), IMAGE)
    assert "aten::sub" not in deployed.operators
    assert deployed.operators[-1] == "conv2d"
    deployed.check_equal()


@pytest.mark.parametrize("compare", [torch.ge, torch.gt, torch.le, torch.lt])
def test_a_comparison_with_a_learned_threshold_per_channel_is_packed(compare: Callable[..., Tensor]) -> None:
    def function(x: Tensor, w: Tensor, t: Tensor) -> Tensor:
        return F.conv2d(torch.where(compare(x, t), 1.0, -1.0), binarize(w), padding=1)

    deployed = Deployed(Apply(function, w=FILTERS, t=quarters(1, 6, 1, 1)), IMAGE)
    assert deployed.operators == ["pack", "conv2d"]
    deployed.check_equal()


THIRD_VALUE: dict[str, Function] = {
    "sign": torch.sign,
    "sgn": torch.sgn,
    "quotient": lambda x: x / x.abs(),
    "copysign": lambda x: torch.copysign(torch.ones_like(x), x),
    "copysign of a number": lambda x: torch.copysign(torch.tensor(1.0), x),
    "signbit": lambda x: 1.0 - 2.0 * torch.signbit(x).float(),
    "sign, scaled": lambda x: torch.sign(x) * 0.5,
    "difference": lambda x: (x > 0).float() - (x < 0).float(),
}


def shifted_batch_norm(channels: int) -> nn.BatchNorm2d:
    """With shifts that no multiple of a quarter meets."""
    norm = nn.BatchNorm2d(channels)
    nn.init.uniform_(norm.bias, 0.3, 0.4)
    return norm


class Signs(nn.Module):
    def __init__(self, sign: Function, before: nn.Module) -> None:
        super().__init__()
        self.sign, self.before = sign, before
        self.conv = nn.Conv2d(6, 8, 3, padding=1, bias=False)
        self.conv.weight.data = torch.where(FILTERS < 0, -1.0, 1.0)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.sign(self.before(x)))


@pytest.mark.parametrize("estimate", [False, True], ids=["plain", "straight-through"])
@pytest.mark.parametrize("name", THIRD_VALUE)
def test_a_third_value_at_zero_is_packed_where_a_learned_shift_makes_it_rare(name: str, estimate: bool) -> None:
    sign = residue(THIRD_VALUE[name]) if estimate else THIRD_VALUE[name]
    deployed = Deployed(Signs(sign, shifted_batch_norm(6)), IMAGE)
    assert deployed.operators == ["pack", "conv2d"]
    assert any("taken for positive" in note for note in deployed.graph.notes.values())
    check(deployed)


@pytest.mark.parametrize(
    "before", [nn.Identity(), nn.BatchNorm2d(6), nn.Sequential(shifted_batch_norm(6), nn.Hardtanh(0, 1)), nn.ReLU()]
)
@pytest.mark.parametrize("name", ["quotient", "copysign"])
def test_a_third_value_at_zero_stays_float_where_zero_may_come(name: str, before: nn.Module) -> None:
    deployed = Deployed(Signs(THIRD_VALUE[name], before), IMAGE)
    assert "conv2d" not in deployed.operators
    (reason,) = deployed.reasons
    assert "torch.where(x >= 0, 1.0, -1.0)" in reason
    assert any("torch.where(x >= 0, 1.0, -1.0)" in text for text in deployed.graph.warnings.values())


@pytest.mark.parametrize("shift", [lambda x: x - 0.25, lambda x: x * 4 - 1, lambda x: 2 * (x - 0.25)])
def test_the_models_input_may_be_as_large_as_a_number_that_shifts_it(shift: Function) -> None:
    deployed = Deployed(Apply(lambda x, w: F.conv2d(torch.sign(shift(x)), binarize(w)), w=FILTERS), IMAGE)
    assert any("the model's input may be 0.25" in reason for reason in deployed.reasons)
    deployed.check_equal()


def test_signs_of_sums_of_signs_stay_float_where_their_sum_may_be_zero() -> None:
    def function(x: Tensor, v: Tensor, w: Tensor) -> Tensor:
        return F.linear(torch.sign(F.linear(binarize(x), binarize(v))), binarize(w))

    even = Deployed(Apply(function, v=quarters(6, 20), w=quarters(4, 6)), quarters(3, 20))
    assert any("whole numbers, 0 among them" in reason for reason in even.reasons)
    even.check_equal()
    odd = Deployed(Apply(function, v=quarters(6, 19), w=quarters(4, 6)), quarters(3, 19))
    assert odd.reasons == []
    odd.check_equal()


def test_a_shift_as_large_as_a_sum_of_signs_is_found() -> None:
    def function(x: Tensor, v: Tensor, b: Tensor, w: Tensor) -> Tensor:
        return F.linear(torch.sign(F.linear(binarize(x), binarize(v)) * 0.25 + b), binarize(w))

    tensors = {"v": quarters(6, 20), "w": quarters(4, 6)}
    shifted = Deployed(Apply(function, b=torch.tensor([0.1, 0.2, 0.3, 0.4, 0.6, 0.7]), **tensors), quarters(3, 20))
    assert shifted.reasons == []
    met = Deployed(Apply(function, b=torch.tensor([0.1, 0.5, 0.3, 0.25, 0.6, 0.7]), **tensors), quarters(3, 20))
    assert any("2 of its shifts" in reason for reason in met.reasons)
    met.check_equal()


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x * (x > 0).float(),
        lambda x: torch.sign(x) * x.abs().mean((1, 2, 3), keepdim=True),
        lambda x: torch.where(x > 0, 1.0, torch.where(x < -1, -1.0, 0.0)),
        lambda x: (x == 0).float(),
        lambda x: x.round(),
        lambda x: torch.sign(x) + torch.sign(x - 1),
    ],
)
def test_what_takes_other_values_is_no_sign(function: Function) -> None:
    deployed = Deployed(Apply(lambda x, w: F.conv2d(function(x), binarize(w)), w=FILTERS), IMAGE)
    assert "conv2d" not in deployed.operators
    deployed.check_equal()


def test_signs_that_no_layer_reads_stay_as_they_are() -> None:
    deployed = Deployed(Apply(lambda x: torch.where(x >= 0, 1.0, -1.0) * x), IMAGE)
    assert "binarize" not in deployed.operators
    deployed.check_equal()


@pytest.mark.parametrize("name", ["above", "where", "bits"])
def test_signs_that_are_moved_pooled_and_joined_keep_their_value_at_zero(name: str) -> None:
    sign = SPELLINGS[name]

    def function(x: Tensor, w: Tensor) -> Tensor:
        signs = torch.cat([sign(x), sign(x + 1)], 1).transpose(2, 3)
        return F.linear(F.max_pool2d(signs, 2).flatten(1), binarize(w))

    deployed = Deployed(Apply(function, w=quarters(4, 12 * 4 * 3)), IMAGE)
    assert "linear" in deployed.operators
    assert "aten::sub" not in deployed.operators
    deployed.check_equal()


@pytest.mark.parametrize("positive", [nn.ReLU(), nn.Sigmoid(), nn.Softmax(1), nn.ReLU6(), nn.Hardtanh(0, 1)])
def test_signs_of_what_is_never_negative_are_warned_of(positive: nn.Module) -> None:
    (warning,) = Deployed(Signs(binarize, positive), IMAGE).graph.warnings.values()
    assert warning.startswith("every sign is +1")
    assert Deployed(Signs(SPELLINGS["above"], positive), IMAGE).graph.warnings == {}


def test_the_export_and_the_summary_warn_of_constant_signs(tmp_path: Path) -> None:
    module = Signs(binarize, nn.Sequential(nn.ReLU(), nn.MaxPool2d(1)))
    with pytest.warns(ExportWarning, match="every sign is"):
        to_pte(module, IMAGE, tmp_path / "m.pte")
    (warning,) = summary(module, (6, 9, 7)).warnings
    assert "aten::relu in before.0" in warning


def test_signs_that_are_also_read_as_floats_are_right_at_zero_in_the_engine(tmp_path: Path) -> None:
    def function(x: Tensor, w: Tensor) -> Tensor:
        signs = torch.where(x > 0, 1.0, -1.0)
        return F.conv2d(signs, binarize(w), padding=1) + signs * x

    module = Apply(function, w=quarters(6, 6, 3, 3))
    to_pte(module, IMAGE, tmp_path / "m.pte")
    with torch.no_grad():
        expected = module(IMAGE)
    torch.testing.assert_close(torch.from_numpy(load(tmp_path / "m.pte")(IMAGE.numpy())), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", SPELLINGS)
def test_a_spelling_runs_in_the_engine(name: str, tmp_path: Path) -> None:
    module = nn.Sequential(Signs(SPELLINGS[name], nn.BatchNorm2d(6)), nn.BatchNorm2d(8), nn.Hardtanh()).eval()
    to_pte(module, IMAGE, tmp_path / "m.pte")
    with torch.no_grad():
        expected = module(IMAGE)
    torch.testing.assert_close(torch.from_numpy(load(tmp_path / "m.pte")(IMAGE.numpy())), expected, rtol=0, atol=1e-4)
