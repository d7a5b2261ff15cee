"""Reading ordinary files only, and writing files that are either the old one or the new one.

It imports little, because the processes that decode images read it too.
"""

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path


def open_file(path: str | os.PathLike[str]) -> BufferedReader:
    """Opens an ordinary file for reading, links followed.

    Never waits: a pipe without a writer would let ``open`` wait for ever, and a device may have no end.

    Raises:
        OSError: ``path`` cannot be opened, or is a folder, pipe, device or socket.
    """
    return open(path, "rb", opener=_open_ordinary)


def _open_ordinary(path: str, flags: int) -> int:
    file = os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)
    kind = stat.S_IFMT(os.fstat(file).st_mode)
    if kind in (stat.S_IFREG, stat.S_IFDIR):  # Python itself refuses folders
        return file
    os.close(file)
    what = {stat.S_IFIFO: "a pipe", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}.get(kind, "no file")
    raise OSError(errno.EINVAL, f"this is {what}; give an ordinary file", os.fspath(path))


def write_atomically(path: Path, content: bytes) -> None:
    """Replaces ``path`` by ``content``: temporary file in the same folder, flushed to the disk, then renamed.

    Raises:
        OSError: the disk is full or not writable. ``path`` is as it was, and no temporary file is left.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the rename itself
    finally:
        os.close(folder)
