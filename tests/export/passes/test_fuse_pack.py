import torch.nn.functional as F
from deploy import Apply, Deployed, quarters
from torch import Tensor

from bittern.ops import binarize

IMAGE = quarters(2, 20, 6, 5)
WEIGHTS = {"a": quarters(20, 20, 3, 3), "b": quarters(20, 20, 3, 3, seed=1), "t": quarters(1, 20, 1, 1)}


def conv(x: Tensor, weight: Tensor) -> Tensor:
    return F.conv2d(binarize(x), binarize(weight), padding=1)


def test_a_layer_read_only_as_bits_writes_only_bits() -> None:
    deployed = Deployed(Apply(lambda x, a, b, t: conv(conv(x, a) + x, b), **WEIGHTS), IMAGE)
    assert deployed.operators == ["pack", "conv2d_packed", "conv2d"]
    deployed.check_equal()


def test_a_layer_read_as_bits_and_as_float_writes_both() -> None:
    def block(x: Tensor, a: Tensor, b: Tensor, t: Tensor) -> Tensor:
        y = conv(x, a) + x
        return conv(y, b) + y

    deployed = Deployed(Apply(block, **WEIGHTS), IMAGE)
    assert deployed.operators == ["pack", "conv2d_float_packed", "conv2d"]
    deployed.check_equal()


def test_the_threshold_of_the_next_layer_moves_into_the_packed_output() -> None:
    def block(x: Tensor, a: Tensor, b: Tensor, t: Tensor) -> Tensor:
        y = conv(x, a) + x
        return conv(y + t, b) + y

    deployed = Deployed(Apply(block, **WEIGHTS), IMAGE)
    assert deployed.operators == ["pack", "conv2d_float_packed", "conv2d"]
    deployed.check_equal()


def test_a_second_threshold_on_the_same_result_is_packed_by_itself() -> None:
    def block(x: Tensor, a: Tensor, b: Tensor, t: Tensor) -> Tensor:
        y = conv(x, a) + x
        return conv(y + t, b) + conv(y, a)

    deployed = Deployed(Apply(block, **WEIGHTS), IMAGE)
    assert sorted(deployed.operators) == ["conv2d", "conv2d", "conv2d_float_packed", "pack", "pack"]
    deployed.check_equal()
