"""1-D networks with binary layers, as for audio: every pooling and resizing runs on fast kernels."""

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from deploy import Apply, Deployed, quarters
from torch import Tensor, nn

import bittern
from bittern.export.capture import channels_last
from bittern.nn import BinaryConv1d
from bittern.ops import binarize


class KeywordSpotting(nn.Module):
    """A strided stem, two binary layers with a residual, pooling of every kind."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv1d(1, 32, 9, stride=4, padding=4), nn.BatchNorm1d(32), nn.AvgPool1d(3, 2, 1))
        self.first = nn.Sequential(BinaryConv1d(32, 64, 3, padding=1), nn.BatchNorm1d(64), nn.PReLU(64))
        self.pool = nn.MaxPool1d(3, 2, 1)
        self.second = nn.Sequential(BinaryConv1d(64, 64, 3, padding="same", scale="mean"), nn.BatchNorm1d(64))
        self.up = nn.Upsample(scale_factor=2)
        self.third = nn.Sequential(BinaryConv1d(64, 32, 5, 2, "same", pad_value=1), nn.BatchNorm1d(32))
        self.even, self.uneven = nn.AdaptiveAvgPool1d(5), nn.AdaptiveAvgPool1d(3)
        self.head = nn.Linear(32 * 2, 12)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.first(self.stem(x)))
        x = self.third(self.up(x + self.second(x)))
        y = F.interpolate(self.uneven(self.even(x)), scale_factor=2, mode="linear")
        return self.head(torch.cat([y.mean(2), F.adaptive_max_pool1d(x, 1).flatten(1)], 1))


def test_a_network_for_keyword_spotting_runs_without_slow_operators(tmp_path: Path) -> None:
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        export = bittern.export.to_pte(KeywordSpotting(), torch.randn(1, 1, 160), tmp_path / "net.pte")
    assert export.explanation.fallbacks == []
    assert [operator.op for operator in export.metadata.operators].count("pack") == 3


@pytest.mark.parametrize(
    "operation",
    [
        lambda x: F.avg_pool1d(x, 3, 2, 1),
        lambda x: F.avg_pool1d(x, 3, 2, 1, count_include_pad=False),
        lambda x: F.avg_pool1d(x, 4, 3, 2, ceil_mode=True),
        lambda x: F.avg_pool1d(x, 4, 5),
        lambda x: F.adaptive_avg_pool1d(x, 1),
        lambda x: F.adaptive_avg_pool1d(x, 9),
        lambda x: F.adaptive_avg_pool1d(x, 5),
        lambda x: F.interpolate(x, scale_factor=3),
        lambda x: F.interpolate(x, scale_factor=1.7),
        lambda x: F.interpolate(x, size=7),
        lambda x: F.interpolate(x, scale_factor=2, mode="linear"),
        lambda x: F.interpolate(x, size=31, mode="linear", align_corners=True),
        lambda x: F.adaptive_max_pool1d(x, 5),
        lambda x: x.max(2).values,
        lambda x: x.amax(-1, keepdim=True),
        lambda x: x.mean(2),
        lambda x: F.max_pool1d(x, 3, 2, 1, 2, ceil_mode=True),
    ],
)
def test_every_operation_equals_torch_and_has_a_form_for_images(operation: Callable[[Tensor], Tensor]) -> None:
    deployed = Deployed(Apply(operation), quarters(2, 5, 18))
    assert not any(name.endswith("1d") for name in deployed.operators)
    expected = deployed.module(deployed.example)
    result = deployed.graph.module(deployed.example)
    torch.testing.assert_close(result, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "operation",
    [
        lambda x: F.avg_pool2d(x, 3, 2, 1),
        lambda x: F.avg_pool2d(x, (3, 2), (2, 1), (1, 0), ceil_mode=True, count_include_pad=False),
        lambda x: F.adaptive_avg_pool2d(x, (3, 2)),
        lambda x: F.adaptive_avg_pool2d(x, (4, 4)),
        lambda x: F.interpolate(x, scale_factor=2),
        lambda x: F.interpolate(x, scale_factor=(1.5, 3.0)),
    ],
)
def test_images_are_pooled_and_resized_by_the_same_rules(operation: Callable[[Tensor], Tensor]) -> None:
    deployed = Deployed(Apply(operation), quarters(2, 3, 9, 8))
    assert not {"aten::adaptive_avg_pool2d", "aten::upsample_nearest2d"} & set(deployed.operators)
    expected = deployed.module(deployed.example)
    result = deployed.graph.module(channels_last(deployed.example))
    torch.testing.assert_close(result, expected, rtol=1e-6, atol=1e-6)


def test_a_transposed_convolution_of_signals_is_packed() -> None:
    weight = quarters(6, 4, 3).sign() + (quarters(6, 4, 3) == 0)
    deployed = Deployed(Apply(lambda x: F.conv_transpose1d(binarize(x), weight, None, 2, 1, 1)), quarters(2, 6, 9))
    assert "aten::conv_transpose1d" not in deployed.operators
    assert deployed.operators.count("conv2d") == 2
    deployed.check_equal()


def test_places_of_maxima_stay_with_torch() -> None:
    deployed = Deployed(Apply(lambda x: x.max(2).indices.float()), quarters(2, 5, 18))
    assert "aten::max" in deployed.operators
    deployed.check_equal()
