import pytest
import torch
import torch.nn.functional as F
from deploy import Apply, Deployed, generator, powers_of_two, quarters

from bittern.ops import binarize


def image(channels: int, size: int = 9) -> torch.Tensor:
    return quarters(2, channels, size, size + 2)


@pytest.mark.parametrize("channels", [1, 3, 31, 32, 33, 70])
@pytest.mark.parametrize("out_channels", [1, 16, 17])
def test_a_convolution_of_signs_with_signs_is_packed(channels: int, out_channels: int) -> None:
    weight = quarters(out_channels, channels, 3, 3)
    deployed = Deployed(Apply(lambda x, w: F.conv2d(binarize(x), binarize(w), padding=1), w=weight), image(channels))
    assert deployed.operators == ["pack", "conv2d"]
    deployed.check_equal()


@pytest.mark.parametrize(
    "options",
    [
        {"stride": 2},
        {"stride": (1, 3), "padding": (2, 0)},
        {"dilation": 2, "padding": 2},
        {"dilation": (2, 1), "padding": "same"},
        {"padding": "same"},
        {"padding": "valid"},
    ],
)
@pytest.mark.parametrize("groups", [1, 2, 6])
def test_stride_padding_dilation_and_groups_are_kept(options: dict[str, object], groups: int) -> None:
    weight = quarters(12, 12 // groups, 3, 2)
    module = Apply(lambda x, w: F.conv2d(binarize(x), binarize(w), groups=groups, **options), w=weight)
    deployed = Deployed(module, image(12))
    assert deployed.operators == ["pack", "conv2d"]
    deployed.check_equal()


@pytest.mark.parametrize("value", [0.0, 1.0, -1.0])
@pytest.mark.parametrize("pad", [(1, 1, 1, 1), (0, 1, 2, 0)])
def test_explicit_padding_becomes_the_operators_pad_value(value: float, pad: tuple[int, ...]) -> None:
    module = Apply(lambda x, w: F.conv2d(F.pad(binarize(x), pad, value=value), binarize(w)), w=quarters(8, 5, 3, 3))
    deployed = Deployed(module, image(5))
    assert deployed.operators == ["pack", "conv2d"]
    deployed.check_equal()


def test_scales_of_filters_and_the_bias_become_the_epilogue() -> None:
    scale, bias = powers_of_two(8, 1, 1, 1), quarters(8)
    module = Apply(
        lambda x, w, s, b: F.conv2d(binarize(x), binarize(w) * s, b, padding=1), w=quarters(8, 5, 3, 3), s=scale, b=bias
    )
    deployed = Deployed(module, image(5))
    (conv,) = deployed.graph.calls(torch.ops.bittern.conv2d.default)
    assert set(conv.kwargs) == {"mul", "add"}
    deployed.check_equal()


def test_latent_free_weights_of_plus_and_minus_one_need_no_binarize() -> None:
    weight = torch.randint(0, 2, (8, 5, 3, 3), generator=generator()).float() * 2 - 1
    deployed = Deployed(Apply(lambda x, w: F.conv2d(binarize(x), w), w=weight), image(5))
    assert deployed.operators == ["pack", "conv2d"]
    deployed.check_equal()


def test_a_threshold_before_binarize_is_packed_with_the_input() -> None:
    shift = quarters(1, 5, 1, 1)
    for sign in (torch.add, torch.sub):
        module = Apply(
            lambda x, w, s, sign=sign: F.conv2d(binarize(sign(x, s)), binarize(w)), w=quarters(8, 5, 3, 3), s=shift
        )
        deployed = Deployed(module, image(5))
        assert deployed.operators == ["pack", "conv2d"]
        deployed.check_equal()


def test_one_tensor_is_packed_once_for_all_its_readers() -> None:
    def twice(x: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return F.conv2d(binarize(x), binarize(a)) * F.conv2d(binarize(x), binarize(b))

    deployed = Deployed(Apply(twice, a=quarters(8, 5, 3, 3), b=quarters(8, 5, 3, 3, seed=1)), image(5))
    assert deployed.operators.count("pack") == 1
    deployed.check_equal()


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda x, w: F.conv2d(binarize(x), w), "its input is binary, but 8 of its 8 filters take more values"),
        (lambda x, w: F.conv2d(x, w), "real-valued"),
        (lambda x, w: F.conv2d(F.pad(binarize(x), (1, 1, 1, 1), value=0.5), binarize(w)), "is padded with 0.5"),
        (
            lambda x, w: F.conv2d(F.pad(binarize(x), (1, 1, 1, 1), value=1.0), binarize(w), padding=1),
            "padded twice with different values",
        ),
        (lambda x, w: F.conv2d(binarize(x), binarize(w * x.mean())), "its weights are computed from the input"),
        (lambda x, w: torch.stack([F.conv2d(binarize(y), binarize(w)) for y in x]), "its input has no batch dimension"),
    ],
)
def test_what_is_not_binary_stays_and_says_why(function: object, reason: str) -> None:
    deployed = Deployed(Apply(function, w=quarters(8, 5, 3, 3)), image(5))  # type: ignore[arg-type]
    assert "conv2d" not in deployed.operators
    assert any(reason in text for text in deployed.reasons), deployed.reasons
    deployed.check_equal()


@pytest.mark.parametrize("features", [1, 31, 32, 33, 100])
@pytest.mark.parametrize("rows", [(1,), (3,), (2, 5)])
def test_a_linear_layer_of_signs_is_packed(features: int, rows: tuple[int, ...]) -> None:
    weight, scale, bias = quarters(10, features), powers_of_two(10, 1), quarters(10)
    module = Apply(lambda x, w, s, b: F.linear(binarize(x), binarize(w) * s, b), w=weight, s=scale, b=bias)
    deployed = Deployed(module, quarters(*rows, features))
    assert deployed.operators == ["pack", "linear"]
    deployed.check_equal()


def test_a_chain_of_linear_layers_passes_bits_and_integers() -> None:
    module = Apply(
        lambda x, a, t, b: F.linear(binarize(F.linear(binarize(x), binarize(a)) + t), binarize(b)),
        a=quarters(40, 20),
        t=quarters(40),
        b=quarters(10, 40),
    )
    deployed = Deployed(module, quarters(3, 20))
    assert deployed.operators == ["pack", "linear_threshold", "linear"]
    deployed.check_equal()
