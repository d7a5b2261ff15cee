from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from bittern.export import to_pte
from bittern.models import create
from bittern.models.quicknet import Blur, QuickNet
from bittern.nn import BinaryConv2d
from bittern.runtime import load

PUBLISHED = {"quicknet-small": 12_655_688, "quicknet": 13_234_088, "quicknet-large": 23_342_248}


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_are_as_many_as_published(name: str) -> None:
    model = create(name)
    # Larq counts the blur as a parameter, and two vectors for every BatchNorm, even if it learns none.
    blurs = sum(m.kernel.numel() for m in model.modules() if isinstance(m, Blur))
    unlearned = sum(2 * m.num_features for m in model.modules() if isinstance(m, nn.BatchNorm2d) and not m.affine)
    assert sum(p.numel() for p in model.parameters()) + blurs + unlearned == PUBLISHED[name]


def test_stages_are_56_28_14_and_7_pixels_wide() -> None:
    model, widths = create("quicknet").eval(), []
    for module in model.modules():
        if isinstance(module, BinaryConv2d):
            module.register_forward_hook(lambda _, x, y: widths.append((x[0].shape[2], y.shape[2])))
    model(torch.zeros(1, 3, 224, 224))
    assert widths == [(size, size) for size in (56, 28, 14, 7) for _ in range(4)]


def test_the_blur_keeps_a_constant_image_away_from_the_border() -> None:
    y = Blur(2)(torch.full((1, 2, 9, 9), 3.0))
    assert y.shape == (1, 2, 5, 5)
    torch.testing.assert_close(y[:, :, 1:-1, 1:-1], torch.full((1, 2, 3, 3), 3.0))


def test_an_image_too_small_for_its_stages_is_refused() -> None:
    with pytest.raises(ValueError, match="image_size must be at least 31 for 4 stages, got 30"):
        create("quicknet", image_size=30)
    assert create("quicknet", image_size=31).eval()(torch.zeros(1, 3, 31, 31)).shape == (1, 1000)


def test_every_binary_layer_runs_packed_and_nothing_falls_to_slow_kernels(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = QuickNet(10, 3, 32, widths=(32, 64), depths=(2, 2)).eval()
    x = torch.randn(2, 3, 32, 32)
    export = to_pte(model, x, tmp_path / "quicknet.pte")
    explanation = export.explanation
    assert explanation.unpacked == []
    assert explanation.fallbacks == []
    convolutions = [operator.op for operator in export.metadata.operators if operator.op.startswith("conv2d")]
    # Inside a stage a block writes both the residual and the bits that the next one reads.
    assert convolutions == ["conv2d_float_packed", "conv2d"] * 2
    logits = load(tmp_path / "quicknet.pte")(x.numpy())
    with torch.no_grad():
        np.testing.assert_allclose(logits, model(x).numpy(), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("size", [4, 5, 8, 9])
def test_the_blur_pads_as_keras_does(size: int) -> None:
    x = torch.randn(1, 3, size, size)
    near, far = (0, 1) if size % 2 == 0 else (1, 1)
    padded = nn.functional.pad(x, (near, far, near, far))
    kernel = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]).expand(3, 1, 3, 3) / 16
    torch.testing.assert_close(Blur(3)(x), nn.functional.conv2d(padded, kernel, stride=2, groups=3))
