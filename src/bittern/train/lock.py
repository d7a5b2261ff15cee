"""One process at a time works in a run folder."""

import errno
import fcntl
import os
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bittern._run_files import LOCK_FILE
from bittern.train.errors import RunError

_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)
"""What file systems without locks answer, such as some that are mounted over a network."""


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Inside, the run in ``folder`` belongs to this process; the folder is created if it is missing.

    The lock is ``flock`` on a file in the folder, which names the process for messages. It ends with the process,
    however that ends: a file that is left behind locks nothing. A folder that was created here and stays empty is
    removed again.

    Raises:
        RunError: another process holds the lock, or the folder cannot be written to.

    Warns:
        UserWarning: the file system has no locks; nothing is held.
    """
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder} is a file; give the run a folder of its own")
    created = not folder.exists()
    file = _lock(folder)
    try:
        yield
    finally:
        with suppress(OSError):
            (folder / LOCK_FILE).unlink()
            if created:
                folder.rmdir()  # which an empty folder allows alone
        os.close(file)


def _lock(folder: Path) -> int:
    """The locked file's descriptor."""
    path = folder / LOCK_FILE
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # Not inherited: a process that this one starts must not keep the lock.
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        except OSError as error:
            if isinstance(error, FileNotFoundError) and not folder.exists():
                continue  # the process before has just removed it
            raise RunError(f"cannot write in {folder} ({error.strerror}); choose another folder") from error
        try:
            _lock_file(file, folder)
        except BaseException:
            os.close(file)
            raise
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file), path.stat()):
                os.ftruncate(file, 0)
                os.pwrite(file, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
                return file
        os.close(file)  # locked just when its holder removed it


def _lock_file(file: int, folder: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(file, 200, 0).decode(errors="replace").strip() or "another process"
        raise RunError(
            f"{holder} is at work in {folder}; wait until it has ended, or give this run another folder"
        ) from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise RunError(f"cannot lock {folder} ({error.strerror}); choose another folder") from error
        warnings.warn(
            f"the file system of {folder} has no locks: make sure that no other process trains in it", stacklevel=4
        )
