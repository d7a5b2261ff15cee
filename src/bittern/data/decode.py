"""From encoded images to pixels, in a process of its own: `bittern.data.workers` runs this file as a program.

It imports neither torch nor the rest of the package: a worker starts in a twentieth of a second, and has no threads.
Every image is a function of its bytes and of the key that it comes with, so results do not depend on who decodes.
"""

import io
import math
import mmap
import os
import signal
import sys
import warnings
from functools import lru_cache
from multiprocessing.connection import Connection
from random import Random
from typing import NamedTuple

from PIL import Image, TiffImagePlugin, UnidentifiedImageError, WebPImagePlugin

CHANNELS = 3
AREA = (0.08, 1.0)
"""Share of the image that a training crop covers (Szegedy et al. 2014, arXiv:1409.4842)."""
RATIO = (3 / 4, 4 / 3)
"""Width / height of a training crop."""
MARGIN = 256 / 224
"""An image to evaluate is resized to this times the side of the square that is cut from its middle."""

_LATE = (TiffImagePlugin.TiffImageFile.format, WebPImagePlugin.WebPImageFile.format)  # else Pillow would load all
_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "PPM", *_LATE)  # no EPS, which would start an interpreter
_WIDE_GREY = ("I", "I;16", "I;16L", "I;16B")
_REASON_LENGTH = 200

Box = tuple[float, float, float, float]
"""Left, top, right, bottom, in pixels."""


class Task(NamedTuple):
    """Decode ``size`` bytes at ``offset`` of ``path`` (-1: all of it) into place ``place`` of the shared memory.

    ``key`` is the seed of the crop; None evaluates.
    """

    place: int
    path: str
    offset: int
    size: int
    key: str | None


def decode(encoded: bytes, side: int, key: str | None) -> bytes:
    """RGB pixels [side, side, 3] of an encoded image; EXIF orientation is ignored.

    Raises:
        Exception: of any kind that Pillow's decoders raise.
    """
    with Image.open(io.BytesIO(encoded), formats=_FORMATS) as image:
        width, height = image.size
        if key is None:
            return _resize(to_rgb(image), centre_crop(width, height), side)
        box = random_resized_crop(width, height, Random(key))
        # JPEG can be decoded at 1/2, 1/4 or 1/8: as small as leaves the crop at least as large as the result.
        shrink = side / min(box[2] - box[0], box[3] - box[1])
        drafted = image.draft(None, (math.ceil(width * shrink), math.ceil(height * shrink)))
        scale = drafted[1][2] / width if drafted else 1.0
        left, top, right, bottom = (edge * scale for edge in box)
        return _resize(to_rgb(image), (left, top, right, bottom), side)


def _resize(image: Image.Image, box: Box, side: int) -> bytes:
    return image.resize((side, side), Image.Resampling.BILINEAR, box=box).tobytes()


def random_resized_crop(width: int, height: int, random: Random) -> Box:
    """A random box of a share `AREA` of the image with log-uniform ratio in `RATIO`, all of it inside.

    After ten boxes that do not fit, the largest in the middle whose ratio is allowed.
    """
    for _ in range(10):
        area = width * height * (AREA[0] + (AREA[1] - AREA[0]) * random.random())
        ratio = math.exp(math.log(RATIO[0]) + (math.log(RATIO[1]) - math.log(RATIO[0])) * random.random())
        across, down = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < across <= width and 0 < down <= height:
            left, top = int(random.random() * (width - across + 1)), int(random.random() * (height - down + 1))
            return left, top, left + across, top + down
    ratio = min(max(width / height, RATIO[0]), RATIO[1])
    return _middle(width, height, min(width, height * ratio), min(height, width / ratio))


def centre_crop(width: int, height: int) -> Box:
    """The square in the middle whose side is 1 / `MARGIN` of the image's shorter one."""
    side = min(width, height) / MARGIN
    return _middle(width, height, side, side)


def to_rgb(image: Image.Image) -> Image.Image:
    """``image`` in 8-bit RGB; grey of 16 bits keeps its high ones, where Pillow alone would cut off at 255."""
    if image.mode in _WIDE_GREY:
        image = image.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    return image.convert("RGB")


def _middle(width: int, height: int, across: float, down: float) -> Box:
    left, top = (width - across) / 2, (height - down) / 2
    return left, top, left + across, top + down


def read(path: str, offset: int, size: int) -> bytes:
    """The encoded bytes; OSError if the file has become shorter."""
    if size < 0:
        with open(path, "rb") as file:
            return file.read()
    content = os.pread(_open_shard(path).fileno(), size, offset)
    if len(content) < size:
        raise OSError(f"the file ends {size - len(content)} bytes before the image does")
    return content


@lru_cache(maxsize=512)
def _open_shard(path: str) -> io.FileIO:
    return io.FileIO(path)


def reason_of(error: Exception) -> str:
    """Why an image could not be decoded, in a line."""
    if isinstance(error, UnidentifiedImageError):
        return "is no image, or of no known format"
    return f"{type(error).__name__}: {error}".replace("\n", " ")[:_REASON_LENGTH]


def serve(tasks: Connection, memory: mmap.mmap, side: int) -> None:
    """Answers each list of tasks by the (place, reason) of those that failed, until the other end is closed.

    Tasks come as plain tuples: to unpickle a class of this package would import all of it.
    """
    length = side * side * CHANNELS
    while True:
        failed = []
        for task in map(Task._make, tasks.recv()):
            try:
                pixels = decode(read(task.path, task.offset, task.size), side, task.key)
                memory[task.place * length : (task.place + 1) * length] = pixels
            except Exception as error:
                failed.append((task.place, reason_of(error)))
        tasks.send(failed)


def main(connection: str, memory: str, side: str) -> None:
    # The trainer decides when it ends, and these with it: they see its end of the connection close.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    warnings.simplefilter("ignore")
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    with Connection(int(connection)) as tasks, mmap.mmap(int(memory), 0) as shared:
        try:
            serve(tasks, shared, int(side))
        except (EOFError, ConnectionError):
            return


if __name__ == "__main__":
    main(*sys.argv[1:])
