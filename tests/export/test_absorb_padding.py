import pytest
import torch.nn.functional as F
from deploy import Apply, Deployed, quarters
from torch import Tensor

from bittern.export.executorch.absorb_padding import absorb_padding

WEIGHT = {"w": quarters(4, 3, 3, 2)}


@pytest.mark.parametrize(
    "function",
    [
        lambda x, w: F.conv2d(x, w, padding="same"),
        lambda x, w: F.conv2d(F.pad(x, (1, 1, 2, 2)), w, padding=1),
        lambda x, w: F.conv2d(F.pad(x, (0, 1, 3, 1)), w, stride=2),
        lambda x, w: F.conv2d(F.pad(x, (3, 0, 0, 1)), w, stride=(1, 2)),
    ],
)
def test_padding_with_zeros_becomes_the_convolutions(function: object) -> None:
    deployed = Deployed(Apply(function, **WEIGHT), quarters(2, 3, 9, 7))  # type: ignore[arg-type]
    absorb_padding(deployed.graph)
    assert deployed.operators == ["aten::conv2d"]
    deployed.check_equal()


def padded_with_ones(x: Tensor, w: Tensor) -> Tensor:
    return F.conv2d(F.pad(x, (1, 1, 2, 2), value=1.0), w)


def dilated(x: Tensor, w: Tensor) -> Tensor:
    return F.conv2d(F.pad(x, (1, 0, 2, 2)), w, dilation=2)


@pytest.mark.parametrize("function", [padded_with_ones, dilated])
def test_other_padding_stays(function: object) -> None:
    deployed = Deployed(Apply(function, **WEIGHT), quarters(2, 3, 9, 7))  # type: ignore[arg-type]
    absorb_padding(deployed.graph)
    assert deployed.operators == ["aten::pad", "aten::conv2d"]
    deployed.check_equal()
