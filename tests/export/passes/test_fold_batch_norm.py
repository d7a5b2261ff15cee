import pytest
import torch
from deploy import Deployed, exact_batch_norm, powers_of_two, quarters
from torch import nn

from bittern.nn import BinaryLinear


def exact_conv(channels: int, out_channels: int, *, bias: bool) -> nn.Conv2d:
    conv = nn.Conv2d(channels, out_channels, 3, bias=bias)
    conv.weight.data = quarters(out_channels, channels, 3, 3)
    if conv.bias is not None:
        conv.bias.data = quarters(out_channels)
    return conv


@pytest.mark.parametrize("bias", [True, False])
def test_batch_norm_behind_a_real_convolution_disappears(bias: bool) -> None:
    deployed = Deployed(nn.Sequential(exact_conv(3, 8, bias=bias), exact_batch_norm(8)), quarters(2, 3, 6, 6))
    assert deployed.operators == ["aten::conv2d"]
    deployed.check_equal()


def test_batch_norm_behind_a_sum_stays() -> None:
    class Sum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = exact_conv(3, 8, bias=False), exact_batch_norm(8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.conv(x)
            result: torch.Tensor = self.norm(y) + y
            return result

    deployed = Deployed(Sum(), quarters(2, 3, 6, 6))
    assert deployed.operators == ["aten::conv2d", "aten::conv2d", "aten::add"]
    deployed.check_equal()


def test_weights_that_are_binary_keep_their_signs() -> None:
    conv = nn.Conv2d(3, 8, 3, bias=False)
    conv.weight.data = powers_of_two(8, 3, 3, 3).sign()
    deployed = Deployed(nn.Sequential(conv, exact_batch_norm(8)), quarters(2, 3, 6, 6))
    assert deployed.operators == ["conv2d_weight_only"]
    deployed.check_equal()


def exact_row_norm(features: int) -> nn.BatchNorm1d:
    norm = nn.BatchNorm1d(features)
    norm.load_state_dict(exact_batch_norm(features).state_dict())
    norm.eps = 0.0
    return norm


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("rank", [2, 3])
def test_batch_norm_behind_rows_normalises_dimension_one(rank: int, binary: bool) -> None:
    """Of [N, T, C] it is T, which is not what a linear layer's weights and epilogue have one value for."""
    linear: nn.Linear = BinaryLinear(8, 8) if binary else nn.Linear(8, 8, bias=False)
    linear.weight.data = quarters(8, 8)
    shape = (3, 8) if rank == 2 else (3, 8, 8)
    deployed = Deployed(nn.Sequential(linear, exact_row_norm(8)), quarters(*shape))
    products = [name for name in deployed.operators if name == "aten::mul"]
    assert len(products) == (0 if rank == 2 else 1)
    deployed.check_equal()
