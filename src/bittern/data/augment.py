"""The registry of augmentations."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from bittern._lookup import find
from bittern.data.colour import jitter, lighting
from bittern.data.erase import cutout, random_erase
from bittern.data.geometry import crop_and_flip, flip, resized_crop, rotate


@dataclass(frozen=True)
class Augmentation:
    """A sequence of steps, each on a whole batch on its device.

    ``crops``: it shifts or crops, which streamed images are already when they arrive.

    Called with images [N, C, H, W], uint8 or floating-point with pixels 0..255, it returns new ones of the same shape
    and dtype; it draws from torch's global generator of the device.
    """

    name: str
    steps: tuple[Callable[[Tensor], Tensor], ...]
    description: str
    source: str
    crops: bool = False

    def __call__(self, images: Tensor) -> Tensor:
        for step in self.steps:
            images = step(images)
        return images


_CROP4_FLIP = partial(crop_and_flip, padding=4, flip=True)
_RESNET = "He et al. 2015, arXiv:1512.03385, section 4.2"
_INCEPTION = "Szegedy et al. 2014, arXiv:1409.4842"

AUGMENTATIONS: dict[str, Augmentation] = {
    row.name: row
    for row in (
        Augmentation("none", (), "images as they are", ""),
        Augmentation("shift1", (partial(crop_and_flip, padding=1, flip=False),), "shifted by up to a pixel", "", True),
        Augmentation(
            "crop2-flip",
            (partial(crop_and_flip, padding=2, flip=True),),
            "shifted by up to 2 pixels, mirrored",
            "",
            True,
        ),
        Augmentation("crop4-flip", (_CROP4_FLIP,), "shifted by up to 4 pixels, mirrored", _RESNET, True),
        Augmentation(
            "rotate15-crop4-flip",
            (partial(rotate, degrees=15), _CROP4_FLIP),
            "rotated by up to 15 degrees, shifted by up to 4 pixels, mirrored",
            "Martinez et al. 2020, Real-to-Binary, arXiv:2003.11535, on CIFAR-100",
            True,
        ),
        Augmentation(
            "crop4-flip-cutout16",
            (_CROP4_FLIP, partial(cutout, side=16)),
            "shifted by up to 4 pixels, mirrored, a square of 16 pixels painted over",
            "DeVries et al. 2017, arXiv:1708.04552, on CIFAR-10",
            True,
        ),
        Augmentation("flip", (flip,), "mirrored", _INCEPTION),
        Augmentation(
            "resized-crop-flip",
            (resized_crop, flip),
            "a box of 8 to 100 % of the image resized to its size, mirrored",
            _INCEPTION,
            True,
        ),
        Augmentation(
            "flip-lighting",
            (partial(lighting, deviation=0.1), flip),
            "mirrored, colour of the light changed",
            "Krizhevsky et al. 2012; with it ReActNet (arXiv:2003.03488) and AdamBNN (arXiv:2106.11309)",
        ),
        Augmentation(
            "flip-jitter",
            (flip, partial(jitter, strength=0.4)),
            "mirrored, brightness, contrast and saturation times 0.6 to 1.4",
            "Howard 2013, arXiv:1312.5402, with the factors of fb.resnet.torch",
        ),
        Augmentation(
            "flip-erase",
            (flip, random_erase),
            "mirrored, a box painted over in half of the images",
            "Zhong et al. 2017, arXiv:1708.04896",
        ),
    )
}
"""By name. Those that start with ``flip`` are for streamed images, which are random crops already."""


def get_augmentation(name: str) -> Augmentation:
    """The augmentation called ``name``; ValueError with the known names and the nearest one if there is none."""
    return find("augmentation", name, AUGMENTATIONS)
