"""Rewrites of networks: without shortcuts, and with another padding."""

import pytest
import torch
from torch import Tensor, nn

from benchmarks.measure import rewrites
from bittern.nn import BinaryConv2d


class Residual(nn.Module):
    """Two binary convolutions with a shortcut each, the second one with a convolution in it."""

    def __init__(self, pad_value: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3)
        self.first = BinaryConv2d(8, 8, 3, padding=1, pad_value=pad_value)
        self.second = BinaryConv2d(8, 16, 3, 2, padding=1, pad_value=pad_value)
        self.shortcut = nn.Conv2d(8, 16, 1, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = x + self.first(x)
        y: Tensor = self.second(x) + self.shortcut(x)
        return y


def test_without_shortcuts_only_the_deeper_path_is_left() -> None:
    model, x = Residual(0).eval(), torch.randn(1, 3, 8, 8)
    changed, count = rewrites.rewrite(model, x, rewrites.without_shortcuts)
    assert count == 2
    assert torch.equal(changed(x), model.second(model.first(model.stem(x))))
    assert not any("shortcut" in name for name, _ in (*changed.named_parameters(), *changed.named_buffers()))


@pytest.mark.parametrize("present", [0, 1])
@pytest.mark.parametrize("expected", [0, 1])
def test_the_border_of_binary_convolutions_is_changed_and_no_other(present: int, expected: int) -> None:
    model, other = Residual(present).eval(), Residual(expected).eval()
    other.load_state_dict(model.state_dict())
    x = torch.randn(1, 3, 8, 8)
    changed, count = rewrites.rewrite(model, x, rewrites.pad_with(expected))
    assert count == (0 if present == expected else 2)
    torch.testing.assert_close(changed(x), other(x))
