import pytest
import torch
import torch.nn.functional as F
from deploy import Apply, Deployed, powers_of_two, quarters

from bittern.ops import binarize

POOLS = [
    {"kernel_size": 2},
    {"kernel_size": 3, "stride": 2, "padding": 1},
    {"kernel_size": (3, 2), "stride": (2, 1), "padding": (1, 0)},
    {"kernel_size": 2, "dilation": 2},
    {"kernel_size": 3, "stride": 2, "ceil_mode": True},
    {"kernel_size": 2, "stride": 3, "ceil_mode": True, "padding": 1},
]


@pytest.mark.parametrize("options", POOLS)
@pytest.mark.parametrize("size", [8, 9, 11])
def test_pooling_before_binarize_becomes_pooling_of_bits(options: dict[str, object], size: int) -> None:
    def pooled(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        return F.conv2d(binarize(F.max_pool2d(x, **options)), binarize(w))  # type: ignore[arg-type]

    deployed = Deployed(Apply(pooled, w=quarters(8, 40, 1, 1)), quarters(2, 40, size, size + 1))
    assert deployed.operators == ["pack", "max_pool2d", "conv2d"]
    deployed.check_equal()


@pytest.mark.parametrize("options", POOLS)
def test_pooling_behind_binarize_becomes_pooling_of_bits(options: dict[str, object]) -> None:
    def pooled(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        return F.conv2d(F.max_pool2d(binarize(x), **options), binarize(w))  # type: ignore[arg-type]

    deployed = Deployed(Apply(pooled, w=quarters(8, 40, 1, 1)), quarters(2, 40, 9, 9))
    assert deployed.operators == ["pack", "max_pool2d", "conv2d"]
    deployed.check_equal()


def test_signs_are_pooled_once_for_all_their_readers() -> None:
    def pooled(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        y = F.max_pool2d(binarize(x), 2)
        return F.conv2d(y, binarize(w)) * F.conv2d(y, -binarize(w)) * F.conv2d(F.max_pool2d(binarize(x), 2), w.sign())

    deployed = Deployed(Apply(pooled, w=powers_of_two(8, 40, 1, 1)), quarters(2, 40, 8, 8))
    assert deployed.operators.count("pack") == deployed.operators.count("max_pool2d") == 1
    deployed.check_equal()


def test_pooling_that_is_also_read_as_float_stays_float() -> None:
    def pooled(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        y = F.max_pool2d(x, 2)
        return F.conv2d(binarize(y), binarize(w)) + y

    deployed = Deployed(Apply(pooled, w=quarters(5, 5, 1, 1)), quarters(2, 5, 8, 8))
    assert deployed.operators == ["aten::max_pool2d", "pack", "conv2d"]
    assert any("also read as float" in reason for reason in deployed.reasons)
    deployed.check_equal()


def test_pooling_that_nothing_binarizes_is_left_without_a_word() -> None:
    deployed = Deployed(Apply(lambda x: F.max_pool2d(x, 2)), quarters(2, 5, 8, 8))
    assert deployed.operators == ["aten::max_pool2d"]
    assert deployed.reasons == []
