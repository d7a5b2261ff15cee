"""Decoding images in a process of its own: `bittern.data.workers` runs this file as a program.

It imports neither torch nor numpy, so that a worker starts in a twentieth of a second. The pixels depend only on an
image's bytes and its view, so it does not matter which worker decodes it.
"""

import io
import math
import mmap
import os
import select
import signal
import sys
import threading
from functools import lru_cache
from multiprocessing.connection import Connection
from random import Random
from typing import Any, NamedTuple

from PIL import Image

from bittern._files import open_file
from bittern._image_files import (
    check_bytes,
    convert,
    is_turned,
    open_image,
    read_image_file,
    reason_of,
    upright_size,
)
from bittern._image_geometry import Box, ImageGeometry

CHANNELS = 3
AREA = (0.08, 1.0)
"""Share of the image that a training crop covers (Szegedy et al. 2014, arXiv:1409.4842)."""
RATIO = (3 / 4, 4 / 3)
"""Width / height of a training crop."""


class Task(NamedTuple):
    """Decode ``size`` bytes at ``offset`` of ``path`` (-1: the whole file) into ``place`` of the shared memory.

    ``view``: the seed of a training crop, or the fields of the `ImageGeometry`.
    """

    place: int
    path: str
    offset: int
    size: int
    view: str | tuple[Any, ...]


def decode(encoded: bytes, side: int, view: str | tuple[Any, ...]) -> bytes:
    """RGB pixels [side, side, 3] of an encoded image, upright, on white where it is transparent.

    Raises:
        ImageError: it cannot be decoded.
    """
    with open_image(encoded) as image:
        if not isinstance(view, str):
            return ImageGeometry(*view).resize(convert(image, "RGB"), (side, side)).tobytes()
        width, height = upright_size(image)
        box = random_resized_crop(width, height, Random(view))
        # JPEG decodes at 1/2, 1/4 or 1/8 too: take the smallest at which the crop is no smaller than the result.
        shrink = side / min(box[2] - box[0], box[3] - box[1])
        smallest = (math.ceil(width * shrink), math.ceil(height * shrink))
        stored = image.width
        drafted = image.draft(None, smallest[::-1] if is_turned(image) else smallest)
        scale = drafted[1][2] / stored if drafted else 1.0
        left, top, right, bottom = (edge * scale for edge in box)
        small = convert(image, "RGB")
        return small.resize((side, side), Image.Resampling.BILINEAR, box=(left, top, right, bottom)).tobytes()


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


def _middle(width: int, height: int, across: float, down: float) -> Box:
    left, top = (width - across) / 2, (height - down) / 2
    return left, top, left + across, top + down


def read(path: str, offset: int, size: int) -> bytes:
    """The encoded bytes; OSError if the file has shrunk or is no ordinary file, ImageError if they are too many."""
    if size < 0:
        return read_image_file(path)
    check_bytes(size)
    content = os.pread(_open_shard(path).fileno(), size, offset)
    if len(content) < size:
        raise OSError(f"the file ends {size - len(content)} bytes before the image does")
    return content


@lru_cache(maxsize=512)
def _open_shard(path: str) -> io.BufferedReader:
    return open_file(path)


def serve(tasks: Connection, memory: mmap.mmap, side: int) -> None:
    """Answers each list of tasks with (place, reason) of those that failed, until the other end is closed.

    Tasks arrive as plain tuples, because unpickling a class of this package would import all of it.
    """
    length = side * side * CHANNELS
    while True:
        failed = []
        for task in map(Task._make, tasks.recv()):
            try:
                pixels = decode(read(task.path, task.offset, task.size), side, task.view)
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
    with Connection(int(connection)) as tasks, mmap.mmap(int(memory), 0) as shared:
        try:
            serve(tasks, shared, int(side))
        except (EOFError, ConnectionError):
            return


if __name__ == "__main__":
    main(*sys.argv[1:])
