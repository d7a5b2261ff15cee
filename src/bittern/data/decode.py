"""Decoding images in a process of its own: `bittern.data.workers` runs this file as a program.

It imports neither torch nor numpy, so that a worker starts in a twentieth of a second. The pixels depend only on an
image's bytes and its key, so it does not matter which worker decodes it.
"""

import io
import math
import mmap
import os
import select
import signal
import sys
import threading
import warnings
from functools import lru_cache
from multiprocessing.connection import Connection
from random import Random
from typing import NamedTuple

from PIL import Image, TiffImagePlugin, UnidentifiedImageError, WebPImagePlugin

from bittern._files import open_file

CHANNELS = 3
AREA = (0.08, 1.0)
"""Share of the image that a training crop covers (Szegedy et al. 2014, arXiv:1409.4842)."""
RATIO = (3 / 4, 4 / 3)
"""Width / height of a training crop."""
MARGIN = 256 / 224
"""For evaluation, the shorter side is resized to this multiple of the square that is cut from the centre."""

_LATE = (TiffImagePlugin.TiffImageFile.format, WebPImagePlugin.WebPImageFile.format)  # else Pillow loads every plugin
_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "PPM", *_LATE)  # no EPS: it would start Ghostscript
_WIDE_GREY = ("I", "I;16", "I;16L", "I;16B")
_REASON_LENGTH = 200
MAX_BYTES = 1 << 28
"""Of an encoded image, which is read as a whole: 8-bit RGB of as many pixels as Pillow accepts fits."""

Box = tuple[float, float, float, float]
"""Left, top, right, bottom, in pixels."""


class Task(NamedTuple):
    """Decode ``size`` bytes at ``offset`` of ``path`` (-1: the whole file) into ``place`` of the shared memory.

    ``key`` is the seed of a training crop; None cuts the centre.
    """

    place: int
    path: str
    offset: int
    size: int
    key: str | None


def open_image(encoded: bytes) -> Image.Image:
    """The image in ``encoded``, of a supported format, not yet decoded; raises what Pillow raises."""
    return Image.open(io.BytesIO(encoded), formats=_FORMATS)


def decode(encoded: bytes, side: int, key: str | None) -> bytes:
    """RGB pixels [side, side, 3] of an encoded image; EXIF orientation is ignored.

    Raises:
        Exception: whatever Pillow's decoders raise.
    """
    with open_image(encoded) as image:
        width, height = image.size
        if key is None:
            return _resize(to_rgb(image), centre_crop(width, height), side)
        box = random_resized_crop(width, height, Random(key))
        # JPEG decodes at 1/2, 1/4 or 1/8 too: take the smallest at which the crop is no smaller than the result.
        shrink = side / min(box[2] - box[0], box[3] - box[1])
        drafted = image.draft(None, (math.ceil(width * shrink), math.ceil(height * shrink)))
        scale = drafted[1][2] / width if drafted else 1.0
        left, top, right, bottom = (edge * scale for edge in box)
        return _resize(to_rgb(image), (left, top, right, bottom), side)


def _resize(image: Image.Image, box: Box, side: int) -> bytes:
    return image.resize((side, side), Image.Resampling.BILINEAR, box=box).tobytes()


def random_resized_crop(width: int, height: int, random: Random) -> Box:
    """A random box of a share `AREA` of the image with log-uniform ratio in `RATIO`, wholly inside.

    After ten boxes that do not fit, the largest central one with an allowed ratio.
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
    """The central square whose side is 1 / `MARGIN` of the image's shorter side."""
    side = min(width, height) / MARGIN
    return _middle(width, height, side, side)


def to_rgb(image: Image.Image) -> Image.Image:
    """``image`` in 8-bit RGB; 16-bit grey keeps its high bits, where Pillow alone would clip at 255."""
    if image.mode in _WIDE_GREY:
        image = image.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    return image.convert("RGB")


def _middle(width: int, height: int, across: float, down: float) -> Box:
    left, top = (width - across) / 2, (height - down) / 2
    return left, top, left + across, top + down


def read(path: str, offset: int, size: int) -> bytes:
    """The encoded bytes; OSError if the file has shrunk, or is no ordinary file, ValueError if they are too many."""
    if size < 0:
        with open_file(path) as file:
            content = file.read(MAX_BYTES + 1)
    else:
        content = os.pread(_open_shard(path).fileno(), min(size, MAX_BYTES + 1), offset)
    if len(content) > MAX_BYTES:
        raise ValueError(f"the file is larger than {MAX_BYTES} bytes")
    if len(content) < size:
        raise OSError(f"the file ends {size - len(content)} bytes before the image does")
    return content


@lru_cache(maxsize=512)
def _open_shard(path: str) -> io.BufferedReader:
    return open_file(path)


def reason_of(error: Exception) -> str:
    """Why an image could not be decoded, in one line."""
    if isinstance(error, UnidentifiedImageError):
        return "is not an image, or of an unknown format"
    return f"{type(error).__name__}: {error}".replace("\n", " ")[:_REASON_LENGTH]


def serve(tasks: Connection, memory: mmap.mmap, side: int) -> None:
    """Answers each list of tasks with (place, reason) of those that failed, until the other end is closed.

    Tasks arrive as plain tuples, because unpickling a class of this package would import all of it.
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


def end_with(parent: int) -> None:
    """Ends this process when the other end of the socket ``parent`` is closed, whatever it is doing."""
    closed = select.poll()
    closed.register(parent, 0)  # reports that alone
    closed.poll()
    os._exit(0)


def main(connection: str, memory: str, side: str) -> None:
    threading.Thread(target=end_with, args=(int(connection),), daemon=True).start()
    # The trainer decides when to stop; its workers then see their connection close.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
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
