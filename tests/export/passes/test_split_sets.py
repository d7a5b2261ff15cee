"""Layers on two values that are not -1 and +1: AdaBin's sets, {0, 1}, and what must stay as it is."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from deploy import Apply, Deployed, exact_batch_norm, powers_of_two, quarters
from torch import Tensor, nn

import bittern
from bittern.export import to_pte
from bittern.nn import (
    AdaBinSign,
    BinaryConv2d,
    BinaryLinear,
    DoReFaWeight,
    FactoredScale,
    MagnitudeAwareSign,
    SteHeaviside,
    SteTern,
)
from bittern.ops import binarize
from bittern.runtime import load

IMAGE = quarters(2, 6, 9, 11)
FILTERS = quarters(8, 6, 3, 3)
PACKED = ["pack", "conv2d"]


def two_valued(*shape: int) -> Tensor:
    """Filters of two values, multiples of 1/4, so that all sums are exact."""
    signs = torch.where(quarters(*shape) < 0, -1.0, 1.0)
    columns = (-1, *[1] * (len(shape) - 1))
    return signs * powers_of_two(shape[0], seed=1).abs().view(columns) + quarters(shape[0], seed=2).view(columns)


@pytest.mark.parametrize(
    ("affine", "options"),
    [
        (lambda s: s * 0.5 + 0.25, {}),
        (lambda s: 0.25 - s * 2.0, {"stride": (1, 2), "dilation": 2}),
        (lambda s: (s - 0.5) / 4.0, {"groups": 2}),
        (lambda s: 3 * (1.0 + s), {"padding": "valid"}),
        (lambda s: -(s + 0.5) * 2.0 - 1.0, {}),
    ],
)
def test_scaled_and_shifted_signs_in_front_of_a_convolution_are_packed(affine: object, options: dict) -> None:
    filters = FILTERS[:, : 6 // options.get("groups", 1)]
    module = Apply(lambda x, w, b: F.conv2d(affine(binarize(x)), binarize(w), b, **options), w=filters, b=quarters(8))
    deployed = Deployed(module, IMAGE)
    assert deployed.operators == PACKED
    assert deployed.reasons == []
    deployed.check_equal()


def test_scaled_and_shifted_signs_in_front_of_a_linear_layer_are_packed() -> None:
    deployed = Deployed(
        Apply(lambda x, w: F.linear(binarize(x) * 0.5 - 2, binarize(w)), w=quarters(4, 20)), quarters(3, 20)
    )
    assert deployed.operators == ["pack", "linear"]
    deployed.check_equal()


@pytest.mark.parametrize(
    ("a", "b", "padding"), [(0.5, 0.5, 1), (-0.5, 0.5, (2, 0)), (2.0, -2.0, "same"), (0.5, 0.0, 1)]
)
def test_a_border_of_zeros_is_packed_where_zero_is_a_value_of_the_set_or_its_centre(
    a: float, b: float, padding: object
) -> None:
    module = Apply(lambda x, w: F.conv2d(binarize(x) * a + b, binarize(w), padding=padding), w=FILTERS)
    deployed = Deployed(module, IMAGE)
    assert deployed.operators == PACKED
    deployed.check_equal()


@pytest.mark.parametrize("value", [0.75, -0.25, 0.25])
def test_a_border_of_the_sets_values_or_centre_is_packed(value: float) -> None:
    module = Apply(
        lambda x, w: F.conv2d(F.pad(binarize(x) / 2 + 0.25, (1, 0, 2, 1), value=value), binarize(w)), w=FILTERS
    )
    deployed = Deployed(module, IMAGE)
    assert deployed.operators == PACKED
    deployed.check_equal()


@pytest.mark.parametrize("value", [1.0, -1.0, 0.0])
def test_signs_that_are_padded_first_are_packed(value: float) -> None:
    module = Apply(
        lambda x, w: F.conv2d(F.pad(binarize(x), (1, 1, 1, 1), value=value) / 2 + 0.25, binarize(w)), w=FILTERS
    )
    deployed = Deployed(module, IMAGE)
    assert deployed.operators == PACKED
    deployed.check_equal()


@pytest.mark.parametrize("value", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("options", [{}, {"stride": 2, "groups": 2}])
def test_a_border_of_another_value_is_an_image_that_is_added(value: float, options: dict) -> None:
    filters = FILTERS[:, : 6 // options.get("groups", 1)]

    def function(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
        return F.conv2d(F.pad(binarize(x) / 2 + 0.25, (1, 0, 2, 1), value=value), binarize(w), b, **options)

    deployed = Deployed(Apply(function, w=filters, b=quarters(8)), IMAGE)
    assert deployed.operators == ["pack", "conv2d", "aten::add"]
    assert deployed.reasons == []
    deployed.check_equal()


def test_a_border_of_another_value_is_right_in_the_engine(tmp_path: Path) -> None:
    module = Apply(lambda x, w: F.conv2d(binarize(x) / 2 + 0.25, binarize(w), padding=1), w=FILTERS)
    to_pte(module, IMAGE, tmp_path / "m.pte")
    with torch.no_grad():
        expected = module(IMAGE)
    assert torch.equal(torch.from_numpy(load(tmp_path / "m.pte")(IMAGE.numpy())), expected)


@pytest.mark.parametrize("layer", ["conv", "linear"])
def test_zeros_among_the_signs_of_weights_are_half_of_either_sign(layer: str, tmp_path: Path) -> None:
    if layer == "conv":
        weight, x = torch.sign(quarters(8, 6, 3, 3)) * powers_of_two(8, 1, 1, 1).abs(), IMAGE
        module = Apply(lambda x, w, b: F.conv2d(binarize(x), w, b, padding=1), w=weight, b=quarters(8))
    else:
        weight, x = torch.sign(quarters(4, 20)), quarters(3, 20)
        module = Apply(lambda x, w: F.linear(binarize(x), w), w=weight)
    assert bool((weight == 0).any())
    deployed = Deployed(module, x)
    packed = "conv2d" if layer == "conv" else "linear"
    assert deployed.operators == ["pack", packed, packed]
    deployed.check_equal()
    to_pte(module, x, tmp_path / "m.pte")
    with torch.no_grad():
        assert torch.equal(torch.from_numpy(load(tmp_path / "m.pte")(x.numpy())), module(x))


def test_a_magnitude_for_each_input_channel_stays_float_and_says_so() -> None:
    weight = torch.where(quarters(8, 6, 3, 3) < 0, -1.0, 1.0) * powers_of_two(1, 6, 1, 1).abs()
    deployed = Deployed(Apply(lambda x, w: F.conv2d(binarize(x), w), w=weight), IMAGE)
    assert any("one magnitude for each input channel" in reason for reason in deployed.reasons)
    deployed.check_equal()


def test_weights_of_one_magnitude_up_to_a_few_units_in_the_last_place_are_packed_and_reported() -> None:
    weight = torch.where(quarters(8, 6, 3, 3) < 0, -0.7, 0.7)
    blurred = torch.where(quarters(8, 6, 3, 3, seed=1) < 0, weight * (1 + 2**-23), weight)
    deployed = Deployed(Apply(lambda x, w: F.conv2d(binarize(x), w), w=blurred), IMAGE)
    assert deployed.operators == PACKED
    assert any("a few units in the last place" in note for note in deployed.graph.notes.values())
    farther = torch.where(quarters(8, 6, 3, 3, seed=1) < 0, weight * (1 + 2**-18), weight)
    assert "conv2d" not in Deployed(Apply(lambda x, w: F.conv2d(binarize(x), w), w=farther), IMAGE).operators


def test_the_set_is_still_there_for_others_that_read_it() -> None:
    def block(x: Tensor, w: Tensor) -> Tensor:
        y = binarize(x) / 2 + 0.25
        return F.conv2d(y, binarize(w)) + y

    deployed = Deployed(Apply(block, w=quarters(6, 6, 1, 1)), IMAGE)
    assert "conv2d" in deployed.operators
    deployed.check_equal()


@pytest.mark.parametrize(
    ("options", "bias"),
    [({}, None), ({"stride": 2, "padding": (0, 1)}, quarters(8)), ({"groups": 2, "padding": 1}, quarters(8))],
)
def test_filters_of_two_values_on_signs_are_packed_and_sum_their_inputs(options: dict, bias: Tensor | None) -> None:
    filters = two_valued(8, 6 // options.get("groups", 1), 3, 3)
    tensors = {"w": filters} if bias is None else {"w": filters, "b": bias}
    module = Apply(lambda x, w, b=None: F.conv2d(binarize(x), w, b, **options), **tensors)
    deployed = Deployed(module, IMAGE)
    factors = "aten::conv2d" if "groups" in options else "conv2d_weight_only"
    assert sorted(deployed.operators) == sorted(["pack", "conv2d", "conv2d", factors])
    assert deployed.reasons == []
    deployed.check_equal()
    assert any("residual" in conv.kwargs for conv in deployed.graph.calls(torch.ops.bittern.conv2d.default))


def test_rows_of_two_values_on_signs_are_packed() -> None:
    deployed = Deployed(Apply(lambda x, w: F.linear(binarize(x), w), w=two_valued(8, 20)), quarters(3, 20))
    assert sorted(deployed.operators) == ["linear", "linear", "linear_weight_only", "pack"]
    deployed.check_equal()


def test_sets_on_both_sides_are_packed() -> None:
    module = Apply(lambda x, w, b: F.conv2d(binarize(x) / 2 + 0.25, w, b), w=two_valued(8, 6, 3, 3), b=quarters(8))
    deployed = Deployed(module, IMAGE)
    assert sorted(deployed.operators) == ["conv2d", "conv2d", "conv2d_weight_only", "pack"]
    deployed.check_equal()


def test_batch_norm_behind_filters_of_two_values_folds_into_them() -> None:
    class Normalized(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w, self.norm = nn.Parameter(two_valued(8, 6, 3, 3)), exact_batch_norm(8)

        def forward(self, x: Tensor) -> Tensor:
            return self.norm(F.conv2d(binarize(x), self.w, padding=1))

    deployed = Deployed(Normalized(), IMAGE)
    assert sorted(deployed.operators) == ["conv2d", "conv2d", "conv2d_weight_only", "pack"]
    deployed.check_equal()


@pytest.mark.parametrize(
    ("function", "weight"),
    [
        (lambda x, w: F.conv2d(x, w), two_valued(8, 6, 3, 3)),  # a real input
        (lambda x, w: F.conv2d(binarize(x), w), quarters(8, 6, 3, 3)),  # more than two values
        (lambda x, w: F.conv2d(binarize(x) * 0.5 + 0.25, w), quarters(8, 6, 3, 3)),
        (lambda x, w: F.conv2d(binarize(x) * x.abs(), w), two_valued(8, 6, 3, 3)),  # a scale that is computed
    ],
)
def test_what_has_no_sets_stays_one_float_convolution(function: object, weight: Tensor) -> None:
    deployed = Deployed(Apply(function, w=weight), IMAGE)
    assert [name for name in deployed.operators if "conv" in name] == ["aten::conv2d"]
    assert len(deployed.reasons) == 1
    deployed.check_equal()


def test_a_factor_per_channel_is_no_set() -> None:
    module = Apply(lambda x, w, s: F.conv2d(binarize(x) * s, binarize(w)), w=FILTERS, s=powers_of_two(6, 1, 1))
    deployed = Deployed(module, IMAGE)
    assert "conv2d_weight_only" in deployed.operators
    deployed.check_equal()


def exact_adabin(layer: nn.Module) -> nn.Module:
    """``layer`` with filters whose mean and deviation are multiples of a quarter."""
    layer.weight.data.copy_(two_valued(*layer.weight.shape))
    return layer


def adabin_conv(**options: object) -> nn.Module:
    return exact_adabin(BinaryConv2d(6, 8, (3, 4), weight_transform="adabin", bias=True, **options))


class WithWeight(nn.Module):
    """A torch layer whose weight goes through a transform, as ``torch.nn.utils.parametrize`` makes it."""

    def __init__(self, transform: nn.Module, weight: Tensor, **options: object) -> None:
        super().__init__()
        self.conv = nn.Conv2d(weight.shape[1], len(weight), weight.shape[2:], bias=False, **options)
        self.conv.weight.data.copy_(weight)
        nn.utils.parametrize.register_parametrization(self.conv, "weight", transform)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(binarize(x))


def learned_set(**options: object) -> AdaBinSign:
    layer = AdaBinSign(**options)
    layer.distance.data.fill_(0.5)
    layer.centre.data.fill_(-0.25)
    return layer


HALVES = torch.where(FILTERS < 0, -0.5, 0.5)

CASES = {
    "balanced": (BinaryConv2d(6, 8, 3, weight_transform="balanced", scale="power_of_two"), ["pack", "conv2d"]),
    "balanced linear": (BinaryLinear(11, 4, weight_transform="balanced"), ["pack", "linear"]),
    "means in the weights": (BinaryConv2d(6, 8, 3, scale="mean_forward"), ["pack", "conv2d"]),
    "learned set": (
        nn.Sequential(learned_set(), BinaryConv2d(6, 8, 3, binarize_input=False)),
        ["pack", "conv2d"],
    ),
    "learned set, padded": (
        nn.Sequential(learned_set(padding=1), BinaryConv2d(6, 8, 3, binarize_input=False)),
        ["pack", "conv2d"],
    ),
    "learned set, zeros at the border": (
        nn.Sequential(learned_set(), BinaryConv2d(6, 8, 3, padding=1, binarize_input=False)),
        ["pack", "conv2d"],
    ),
    "heaviside": (
        nn.Sequential(SteHeaviside(), BinaryConv2d(6, 8, 3, padding=1, binarize_input=False)),
        ["pack", "negate", "conv2d"],
    ),
    "heaviside weight": (WithWeight(SteHeaviside(), FILTERS), ["pack", "conv2d", "conv2d", "conv2d_weight_only"]),
    "magnitude-aware sign": (WithWeight(MagnitudeAwareSign(), HALVES), ["pack", "conv2d"]),
    "one-bit DoReFa weight": (WithWeight(DoReFaWeight(1), FILTERS), ["pack", "conv2d"]),
    "two-bit DoReFa weight": (WithWeight(DoReFaWeight(2), FILTERS), ["binarize", "aten::conv2d"]),
    "ternary weight": (WithWeight(SteTern(0.5), FILTERS), ["pack", "conv2d", "conv2d"]),
    "ternary input": (nn.Sequential(SteTern(0.5), nn.Conv2d(6, 8, 3, bias=False)), ["aten::conv2d"]),
}


@pytest.mark.parametrize("name", CASES)
def test_a_layer_exports_as_its_documentation_says(name: str) -> None:
    module, operators = CASES[name]
    deployed = Deployed(module, IMAGE)
    operators_found = [op for op in deployed.operators if "conv" in op or not op.startswith("aten")]
    assert sorted(operators_found) == sorted(operators)
    with torch.no_grad():
        expected, result = module(IMAGE), deployed.graph.module(IMAGE)
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("options", [{}, {"padding": (1, 2)}, {"groups": 2}, {"binarize_input": False}])
def test_adabin_weights_give_the_modules_numbers(options: dict) -> None:
    module = adabin_conv(**options)
    deployed = Deployed(module, IMAGE)
    binary = options.get("binarize_input", True)
    assert deployed.operators.count("conv2d") == (2 if binary else 0)
    with torch.no_grad():
        expected, result = module(IMAGE), deployed.graph.module(IMAGE)
    # Sums of 72 products of magnitude up to 8, each rounded to 2^-24 of the partial sum.
    torch.testing.assert_close(result, expected, rtol=0, atol=72 * 72 * 8 * 2**-24)


@pytest.mark.slow
def test_the_engine_computes_what_the_module_does(tmp_path: Path) -> None:
    net = nn.Sequential(
        learned_set(padding=1),
        BinaryConv2d(6, 8, (3, 4), binarize_input=False, weight_transform="adabin", weight_estimator="ede"),
        nn.BatchNorm2d(8),
        SteHeaviside(),
        BinaryConv2d(8, 8, 3, padding=1, binarize_input=False, weight_transform="balanced", scale="power_of_two"),
        FactoredScale(8, 9, 10, case=3),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    ).eval()
    report = to_pte(net, IMAGE[:1], tmp_path / "net.pte")
    assert report.explanation.unpacked == []
    results = bittern.runtime.run_in_process(report.path, IMAGE.numpy(), trace=True)
    verification = bittern.export.verify(net, report.path, IMAGE.numpy(), results)
    assert verification.passed
    assert verification.reference_differences == 0
