"""From an image of any size to the pixels that a network takes: one rule for training, evaluation and the engine."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from bittern._fields import Fields, short

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL import Image

Fit = Literal["stretch", "resize-crop", "crop-resize"]
Interpolation = Literal["bilinear", "bicubic"]

Box = tuple[float, float, float, float]
"""Left, top, right, bottom, in pixels."""

_STEPS = 1024
"""TensorFlow's kernels round the place between two pixels to one of this many."""


_MIN_CROP = 0.1

_ELONGATED = 8
"""Of an image that is longer than this many times its width only the part that is kept is resized: the whole may not
fit into memory. Pillow's rounding then differs by one level here and there."""


@dataclass(frozen=True)
class ImageGeometry:
    """How an image of w x h pixels becomes W x H.

    Args:
        fit: ``"stretch"`` resizes the whole image whatever its shape. ``"resize-crop"`` resizes it, in its own shape,
            until it covers round(W / crop) x round(H / crop), and cuts the middle: ``Resize(256), CenterCrop(224)`` of
            torchvision. ``"crop-resize"`` cuts ``crop`` of the largest middle box of the shape W x H in whole pixels,
            and resizes that, as TensorFlow's reference code for ImageNet does.
        crop: share of the sides that is kept, in [0.1, 1]: less would resize images to many times the network's size.
        interpolation: ``"bilinear"`` or ``"bicubic"``.
        antialias: a pixel is the mean of all pixels that it covers, as Pillow computes it. Without it is interpolated
            between the 2 x 2 or 4 x 4 pixels around (x w / W, y h / H), as TensorFlow's ``resize_bilinear`` and
            ``resize_bicubic`` (a = -0.75) of version 1 do.

    Raises:
        ValueError: a field is none of these.
    """

    fit: Fit
    crop: float = 1.0
    interpolation: Interpolation = "bilinear"
    antialias: bool = True

    def __post_init__(self) -> None:
        for name, known in (("fit", get_args(Fit)), ("interpolation", get_args(Interpolation))):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, got {short(getattr(self, name))}")
        if not _MIN_CROP <= self.crop <= 1:
            raise ValueError(f"crop must be from {_MIN_CROP} to 1, got {self.crop}")
        if self.fit == "stretch" and self.crop != 1:
            raise ValueError(f"crop must be 1 where the whole image is stretched, got {self.crop}")

    def box(self, image: tuple[int, int], result: tuple[int, int]) -> Box:
        """The part of an image of (w, h) pixels that becomes (W, H) pixels."""
        (w, h), (wide, high) = image, result
        if self.fit == "stretch":
            return 0, 0, w, h
        if self.fit == "crop-resize":
            across, down = int(self.crop * min(w, h * wide / high)), int(self.crop * min(h, w * high / wide))
            across, down = max(across, 1), max(down, 1)
            left, top = (w - across + 1) // 2, (h - down + 1) // 2
            return left, top, left + across, top + down
        across, down = self._resized(image, result)
        x, y = w / across, h / down
        left, top = _offset(across, wide), _offset(down, high)
        return left * x, top * y, (left + wide) * x, (top + high) * y

    def _resized(self, image: tuple[int, int], result: tuple[int, int]) -> tuple[int, int]:
        """Of "resize-crop": the side that limits gets its length, the other is truncated, as in torchvision."""
        (w, h), (wide, high) = image, result
        across, down = round(wide / self.crop), round(high / self.crop)
        if w * high <= h * wide:
            return across, max(down, int(across * h / w))
        return max(across, int(down * w / h)), down

    def resize(self, image: "Image.Image", result: tuple[int, int]) -> "Image.Image":
        """An image of mode "RGB" or "L" in (W, H) pixels."""
        from PIL import Image

        box = self.box(image.size, result)
        if self.fit == "crop-resize":  # no pixel outside of the box counts
            image = image.crop(box)
            box = (0, 0, *image.size)
        if self.antialias:
            kernel = Image.Resampling[self.interpolation.upper()]
            if self.fit == "resize-crop":
                across, down = self._resized(image.size, result)
                if across * down <= _ELONGATED * result[0] * result[1] / self.crop**2:
                    left, top = _offset(across, result[0]), _offset(down, result[1])
                    return image.resize((across, down), kernel).crop((left, top, left + result[0], top + result[1]))
            return image.resize(result, kernel, box=box)
        import numpy as np

        values = np.asarray(image)
        values = _sample(values, 0, box[1], box[3], result[1], self.interpolation)
        values = _sample(values, 1, box[0], box[2], result[0], self.interpolation)
        return Image.fromarray(np.floor(values.clip(0, 255) + 0.5).astype(np.uint8))

    def describe(self, result: tuple[int, int]) -> str:
        """In words, for a network of (W, H) pixels."""
        wide, high = result
        how = self.interpolation + ("" if self.antialias else " without antialiasing")
        if self.fit == "stretch":
            return f"stretched to {wide} x {high}, {how}"
        if self.fit == "crop-resize":
            return f"the middle {self.crop:.4g} of the largest box of its shape, resized to {wide} x {high}, {how}"
        covered = f"{round(wide / self.crop)} x {round(high / self.crop)}"
        return f"resized until it covers {covered}, {how}, then the middle {wide} x {high}"

    def to_json(self) -> dict[str, Any]:
        """A dictionary that JSON can hold; `from_json` reads it back."""
        return asdict(self)

    @staticmethod
    def from_json(value: object, name: str = "geometry") -> "ImageGeometry":
        """Reads what `to_json` gave; ValueError for anything else, in which the value is called ``name``."""
        fields = Fields(value, name)
        fit: Any = fields.text("fit")
        interpolation: Any = fields.text("interpolation")
        try:
            return ImageGeometry(fit, fields.number("crop"), interpolation, fields.flag("antialias"))
        except ValueError as error:
            raise ValueError(str(error) if str(error).startswith(name) else f"{name}: {error}") from None


def _offset(length: int, kept: int) -> int:
    """Of the middle; a half is rounded to the even neighbour, as in torchvision."""
    return round((length - kept) / 2)


def _sample(
    values: "npt.NDArray[Any]", axis: int, first: float, last: float, count: int, interpolation: str
) -> "npt.NDArray[np.float32]":
    """``values`` along ``axis`` at ``count`` places, ``first`` and then every ``(last - first) / count`` pixels."""
    import numpy as np

    place = np.float32(first) + np.arange(count, dtype=np.float32) * np.float32((last - first) / count)
    low = np.floor(place).astype(np.int64)
    t = place - low
    if interpolation == "bilinear":
        taps: dict[int, Any] = {0: 1 - t, 1: t}
    else:
        t = np.rint(t * _STEPS) / _STEPS
        taps = {-1: _cubic(1 + t), 0: _cubic(t), 1: _cubic(1 - t), 2: _cubic(2 - t)}
    shape = [1] * values.ndim
    shape[axis] = count
    result = np.zeros((), np.float32)
    for offset, weight in taps.items():
        taken = values.take((low + offset).clip(0, values.shape[axis] - 1), axis).astype(np.float32)
        result = result + taken * weight.astype(np.float32).reshape(shape)
    return result


def _cubic(distance: "npt.NDArray[Any]") -> "npt.NDArray[Any]":
    """The weight of a pixel at ``distance`` in [0, 2]: Keys 1981, IEEE TASSP 29(6), with a = -0.75."""
    import numpy as np

    a, d = -0.75, distance
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    weight: npt.NDArray[Any] = np.where(d <= 1, near, far)
    return weight


STRETCH = ImageGeometry("stretch")
"""The whole image, whatever its shape."""
MIDDLE_SQUARE = ImageGeometry("resize-crop")
"""For small images: the largest middle square."""
TORCHVISION = ImageGeometry("resize-crop", 224 / 256)
"""torchvision's references: for 224 pixels the shorter side becomes 256."""
TENSORFLOW = ImageGeometry("crop-resize", 224 / 256, "bicubic", antialias=False)
"""TensorFlow's reference code for EfficientNet, which Larq Zoo took over."""
