from pathlib import Path

import numpy as np
import pytest
import torch
from deploy import quarters
from torch import nn

import bittern
from bittern.nn import BinaryConv2d


def conv(kernel: int) -> nn.Conv2d:
    layer = nn.Conv2d(3, 32, kernel)
    layer.weight.data = quarters(32, 3, kernel, kernel)
    return layer


def binary() -> BinaryConv2d:
    layer = BinaryConv2d(32, 32, 1)
    layer.weight.data = quarters(32, 32, 1, 1)
    return layer


@pytest.mark.filterwarnings("ignore:nothing in this model is binary")
@pytest.mark.parametrize(
    "net",
    [
        nn.Sequential(conv(3), nn.MaxPool2d(2)),
        nn.Sequential(conv(3), nn.MaxPool2d(2), nn.BatchNorm2d(32), binary()),
        nn.Sequential(conv(3), nn.AvgPool2d(2), nn.Hardtanh(), binary()),
        nn.Sequential(conv(4), nn.Hardtanh(), binary(), nn.Flatten()),
        nn.Sequential(conv(4), nn.ReLU(), nn.Conv2d(32, 8, 1)),
    ],
)
def test_images_of_one_pixel_run_wherever_they_leave_the_float_parts(net: nn.Module, tmp_path: Path) -> None:
    net.eval()
    x = quarters(1, 3, 4, 4)
    bittern.export.to_pte(net, x, tmp_path / "net.pte")
    with torch.no_grad():
        expected = net(x).numpy()
    np.testing.assert_allclose(bittern.runtime.load(tmp_path / "net.pte")(x.numpy()), expected, rtol=1e-5, atol=1e-5)
