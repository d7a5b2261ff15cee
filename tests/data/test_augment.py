import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from bittern.data import AUGMENTATIONS, get_augmentation
from bittern.data.augment import crop_and_flip


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_shape_and_dtype_stay_and_the_input_is_not_written(name: str) -> None:
    images = torch.randint(0, 256, (5, 3, 8, 6), dtype=torch.uint8)
    before = images.clone()
    result = get_augmentation(name)(images)
    assert (result.shape, result.dtype) == (images.shape, torch.uint8)
    assert torch.equal(images, before)


@given(st.integers(0, 3), st.booleans(), st.integers(0, 2**31))
def test_each_image_is_a_window_of_its_bordered_self_perhaps_mirrored(padding: int, flip: bool, seed: int) -> None:
    torch.manual_seed(seed)
    images = torch.randint(1, 256, (4, 2, 5, 6), dtype=torch.uint8)
    for image, result in zip(images, crop_and_flip(images, padding, flip), strict=True):
        bordered = F.pad(image, [padding] * 4)
        windows = bordered.unfold(1, 5, 1).unfold(2, 6, 1).flatten(1, 2).transpose(0, 1)
        candidates = torch.cat([windows, windows.flip(3)]) if flip else windows
        assert (candidates == result).flatten(1).all(1).any()


def test_every_offset_and_both_mirrorings_occur() -> None:
    torch.manual_seed(0)
    image = torch.arange(1, 10, dtype=torch.uint8).view(1, 1, 3, 3).expand(400, 1, 3, 3)
    assert len(crop_and_flip(image, 1, flip=True).flatten(1).unique(dim=0)) == 18
    assert len(crop_and_flip(image, 1, flip=False).flatten(1).unique(dim=0)) == 9


def test_the_generator_of_torch_decides() -> None:
    images = torch.randint(0, 256, (9, 1, 8, 8), dtype=torch.uint8)
    results = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        results.append(get_augmentation("crop4-flip")(images))
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


def test_an_unknown_augmentation_is_refused_with_the_known_names() -> None:
    with pytest.raises(ValueError, match="unknown augmentation 'flip': known are crop2-flip, crop4-flip, none, shift1"):
        get_augmentation("flip")
