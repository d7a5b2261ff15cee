import pytest
import torch.nn.functional as F
from deploy import Apply, Deployed, exact_batch_norm, powers_of_two, quarters
from torch import Tensor, nn

from bittern.ops import binarize

NORM = nn.BatchNorm1d(32, eps=0.0).eval().requires_grad_(False)
NORM.load_state_dict(exact_batch_norm(32).state_dict())
SLOPE, SHIFT = powers_of_two(32, seed=3), quarters(1, 32, 1)


WEIGHTS = {taps: quarters(32, 32, taps) for taps in (1, 3)}
DEPTHWISE, FLOATS = quarters(32, 1, 4), quarters(4, 32, 3)


BETWEEN = ["aten::view", "aten::_to_copy"]


def conv(x: Tensor, taps: int = 3, **options: object) -> Tensor:
    return F.conv1d(binarize(x), binarize(WEIGHTS[taps]), **options)  # type: ignore[arg-type]


def check(network: object, operators: list[str]) -> None:
    deployed = Deployed(Apply(network), quarters(2, 32, 17))  # type: ignore[arg-type]
    packed = [name for name in deployed.operators if "::" not in name]
    assert packed == operators
    assert set(deployed.operators) - set(packed) <= {"aten::view", "aten::_to_copy"}
    deployed.check_equal()


def test_a_chain_of_layers_keeps_its_epilogues_and_thresholds() -> None:
    def network(x: Tensor) -> Tensor:
        y = F.prelu(NORM(conv(x, stride=2, padding=1)), SLOPE) + SHIFT
        y = y + NORM(conv(y, padding=2, dilation=2))
        return conv(F.relu(NORM(conv(y, padding="same"))) - SHIFT, taps=1)

    check(network, ["pack", "conv2d_float_packed", "conv2d_packed", "conv2d_threshold", "conv2d"])


def test_groups_pads_and_pooling_are_those_of_images() -> None:
    def network(x: Tensor) -> Tensor:
        y = F.conv1d(F.pad(binarize(x), (2, 1), value=1.0), binarize(DEPTHWISE), groups=32)
        return conv(F.max_pool1d(y, 2, padding=1), taps=1)

    check(network, ["pack", "conv2d_threshold", "max_pool2d", "conv2d"])


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_a_signal_that_is_padded_with_its_own_values_is_padded_before_it_is_an_image(mode: str) -> None:
    deployed = Deployed(Apply(lambda x: conv(F.pad(x, (1, 2), mode=mode))), quarters(2, 32, 17))
    assert deployed.operators == ["aten::pad", "aten::view", "pack", "conv2d", *reversed(BETWEEN)]
    deployed.check_equal()


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_signs_that_are_padded_with_their_own_values_stay_floats(mode: str) -> None:
    deployed = Deployed(
        Apply(lambda x: F.conv1d(F.pad(binarize(x), (1, 2), mode=mode), binarize(WEIGHTS[3]))), quarters(2, 32, 17)
    )
    packed = [name for name in deployed.operators if name not in BETWEEN]
    assert packed == ["binarize", "aten::pad", "conv2d_weight_only"]
    deployed.check_equal()


def test_one_number_for_the_whole_signal_has_no_row_to_add() -> None:
    deployed = Deployed(Apply(lambda x: conv(x) + x.amax()), quarters(2, 32, 17))
    assert deployed.operators == ["aten::view", "pack", "conv2d", "aten::amax", "aten::add", *reversed(BETWEEN)]
    deployed.check_equal()


def test_real_valued_signals_stay_as_they_are() -> None:
    deployed = Deployed(Apply(lambda x: F.conv1d(x, FLOATS)), quarters(2, 32, 17))
    assert deployed.operators == ["aten::conv1d"]
    deployed.check_equal()
