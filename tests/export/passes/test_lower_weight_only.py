import pytest
import torch
import torch.nn.functional as F
from deploy import Apply, Deployed, exact_batch_norm, powers_of_two, quarters
from torch import Tensor, nn

from bittern.export.passes.binary import REAL_INPUT, WEIGHT_ONLY
from bittern.ops import binarize

IMAGE = quarters(2, 5, 9, 11)
FILTERS = quarters(8, 5, 3, 3)


@pytest.mark.parametrize(
    "options", [{}, {"stride": (1, 3), "padding": (2, 0)}, {"dilation": 2, "padding": "same"}, {"padding": "valid"}]
)
def test_a_convolution_of_real_values_with_signs_keeps_its_weights_packed(options: dict[str, object]) -> None:
    deployed = Deployed(Apply(lambda x, w: F.conv2d(x, binarize(w), **options), w=FILTERS), IMAGE)
    assert deployed.operators == ["conv2d_weight_only"]
    assert deployed.reasons == [WEIGHT_ONLY]
    deployed.check_equal()


@pytest.mark.parametrize("rows", [(1,), (2, 5)])
def test_a_linear_layer_of_real_values_with_signs_keeps_its_weights_packed(rows: tuple[int, ...]) -> None:
    deployed = Deployed(Apply(lambda x, w: F.linear(x, binarize(w)), w=quarters(4, 20)), quarters(*rows, 20))
    assert deployed.operators == ["linear_weight_only"]
    assert deployed.reasons == [WEIGHT_ONLY]
    deployed.check_equal()


def test_scale_bias_and_batch_norm_become_the_epilogue() -> None:
    def convolution(x: Tensor, w: Tensor, s: Tensor, b: Tensor) -> Tensor:
        return F.conv2d(x, binarize(w) * s, b, padding=1)

    scaled = Apply(convolution, w=FILTERS, s=powers_of_two(8, 1, 1, 1), b=quarters(8))
    module = nn.Sequential(scaled, exact_batch_norm(8), nn.Hardtanh())
    deployed = Deployed(module, IMAGE)
    assert deployed.operators == ["conv2d_weight_only"]
    (conv,) = deployed.graph.calls(torch.ops.bittern.conv2d_weight_only.default)
    assert set(conv.kwargs) == {"mul", "add", "act_min", "act_max"}
    deployed.check_equal()


def test_a_layer_behind_it_reads_its_bits() -> None:
    module = Apply(
        lambda x, a, b: F.conv2d(binarize(F.conv2d(x, binarize(a), padding=1)), binarize(b)),
        a=FILTERS,
        b=quarters(4, 8, 3, 3),
    )
    deployed = Deployed(module, IMAGE)
    assert deployed.operators == ["conv2d_weight_only_packed", "conv2d"]
    deployed.check_equal()


def test_a_linear_layer_whose_result_is_read_as_bits_and_as_float_writes_both() -> None:
    def block(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
        y = F.linear(x, binarize(a))
        return F.linear(binarize(y), binarize(b)) + y

    deployed = Deployed(Apply(block, a=quarters(20, 10), b=quarters(20, 20)), quarters(3, 10))
    assert deployed.operators == ["linear_weight_only_float_packed", "linear"]
    deployed.check_equal()


def test_padding_with_zeros_moves_into_the_operator_and_other_padding_stays_in_front() -> None:
    for value, expected in ((0.0, ["conv2d_weight_only"]), (1.0, ["aten::pad", "conv2d_weight_only"])):
        module = Apply(
            lambda x, w, value=value: F.conv2d(F.pad(x, (1, 2, 0, 1), value=value), binarize(w), padding=1), w=FILTERS
        )
        deployed = Deployed(module, IMAGE)
        assert [name.replace("constant_pad_nd", "pad") for name in deployed.operators] == expected
        deployed.check_equal()


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda x, w: F.conv2d(x, binarize(w[:, :1]), groups=5), f"{REAL_INPUT}, and it has 5 groups"),
        (lambda x, w: F.conv2d(x, w), "real-valued"),
        (lambda x, w: F.conv2d(x, binarize(w * x.mean())), "its weights are computed from the input"),
    ],
)
def test_what_stays_float_says_why(function: object, reason: str) -> None:
    deployed = Deployed(Apply(function, w=quarters(10, 5, 3, 3)), IMAGE)  # type: ignore[arg-type]
    assert not any(name.startswith("conv2d") for name in deployed.operators)
    assert reason in deployed.reasons
    deployed.check_equal()
