from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from bittern.data import cutmix, mixup

Mix = Callable[[Tensor, Tensor, float], tuple[Tensor, Tensor]]
MIXES = [mixup, cutmix]


def batch(n: int, classes: int, height: int = 7, width: int = 5) -> tuple[Tensor, Tensor]:
    """Images whose pixels equal their targets, so that both must be mixed alike."""
    targets = F.one_hot(torch.randint(classes, (n,)), classes).float()
    return targets[:, :, None, None].expand(n, classes, height, width), targets


@pytest.mark.parametrize("mix", MIXES)
@given(st.integers(1, 9), st.floats(0.1, 4), st.integers(0, 2**31))
def test_targets_are_shared_as_the_pixels_are(mix: Mix, n: int, alpha: float, seed: int) -> None:
    torch.manual_seed(seed)
    images, targets = batch(n, 4)
    before = images.clone(), targets.clone()
    mixed, soft = mix(images, targets, alpha)
    assert (mixed.shape, soft.shape) == (images.shape, targets.shape)
    # A mean over 35 pixels and a blend of two, each in float32.
    assert torch.allclose(mixed.mean((2, 3)), soft, rtol=0, atol=1e-5)
    assert torch.allclose(soft.sum(1), torch.ones(n), rtol=0, atol=1e-6)
    assert torch.equal(images, before[0])
    assert torch.equal(targets, before[1])


@pytest.mark.parametrize("mix", MIXES)
def test_every_image_is_a_partner_once(mix: Mix) -> None:
    torch.manual_seed(0)
    targets = torch.eye(6)
    _, soft = mix(targets[:, :, None, None].expand(6, 6, 4, 4), targets, 1.0)
    assert torch.allclose(soft.sum(0), torch.ones(6))


def test_cutmix_leaves_each_pixel_whole_and_mixup_blends_all() -> None:
    torch.manual_seed(1)
    targets = torch.eye(6)
    images = targets[:, :, None, None].expand(6, 6, 8, 8)
    assert set(cutmix(images, targets, 1.0)[0].unique().tolist()) == {0.0, 1.0}
    mixed, _ = mixup(images, targets, 1.0)
    assert torch.equal(mixed, mixed[:, :, :1, :1].expand_as(mixed))
    assert mixed.unique().numel() > 2


def test_boxes_of_cutmix_are_spread_evenly_around_the_middle() -> None:
    torch.manual_seed(0)
    images = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1).expand(2, 1, 6, 9)
    cover = sum((cutmix(images, torch.eye(2), 1.0)[0][0] for _ in range(3000)), torch.zeros(1, 6, 9)) / 3000
    assert (cover - cover.flip(1)).abs().max() < 0.05
    assert (cover - cover.flip(2)).abs().max() < 0.05
    assert 0.02 < cover[0, 0, 0] < cover[0, 3, 4] - 0.05


@pytest.mark.parametrize(("alpha", "deviation"), [(0.2, 0.4226), (1.0, 0.2887)])
def test_the_share_is_drawn_from_beta(alpha: float, deviation: float) -> None:
    torch.manual_seed(0)
    targets = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    images = torch.zeros(2, 1, 1, 1)
    # Half of the time both images are their own partners.
    shares = [s for _ in range(4000) if 0 < (s := mixup(images, targets, alpha)[1][0, 0].item()) < 1]
    assert len(shares) > 1500
    assert torch.tensor(shares).mean() == pytest.approx(0.5, abs=0.04)
    assert torch.tensor(shares).std() == pytest.approx(deviation, abs=0.03)


@pytest.mark.parametrize("mix", MIXES)
def test_the_generator_of_torch_decides(mix: Mix) -> None:
    images, targets = torch.rand(9, 3, 8, 8), torch.eye(9)
    results = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        results.append(mix(images, targets, 1.0)[0])
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


@pytest.mark.parametrize("mix", MIXES)
def test_what_cannot_be_mixed_is_refused(mix: Mix) -> None:
    images, targets = torch.rand(3, 1, 4, 4), torch.eye(3)
    with pytest.raises(ValueError, match="alpha must be above 0, got 0"):
        mix(images, targets, 0)
    with pytest.raises(ValueError, match=r"images must be floating-point to be mixed, got torch\.uint8"):
        mix(images.byte(), targets, 1.0)
    with pytest.raises(ValueError, match=r"targets must be floating-point to be mixed, got torch\.int64"):
        mix(images, torch.arange(3), 1.0)
    with pytest.raises(ValueError, match=r"targets must be \[3, classes\] for 3 images, got \[2, 3\]"):
        mix(images, targets[:2], 1.0)
