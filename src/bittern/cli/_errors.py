"""From an exception to one line on standard error and an exit code."""

import errno
import os
import sys
import traceback
import warnings
from collections.abc import Callable
from typing import TextIO

FAILED = 1
UNUSABLE = 2
INTERRUPTED = 130

SHOW_TRACEBACK = "BITTERN_TRACEBACK"
"""Environment variable: if set and not empty, errors come with their traceback."""

_LONGEST = 600  # characters of a message; PyTorch's run to pages
_EXTRAS = {
    "cli": ("typer", "rich", "PIL"),
    "export": ("executorch", "torchao", "flatbuffers", "ruamel", "tabulate"),
    "import": ("h5py",),
    "train": ("torch", "safetensors", "pyarrow", "sklearn", "matplotlib", "jinja2"),
}
"""Extra of the package -> the modules that it brings."""

# Nothing is wrong with what was asked for: the machine could not do it.
_MACHINE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOMEM)


class FailedError(Exception):
    """A check failed, or work could not be finished: exit code 1."""


def guarded(run: Callable[[], int]) -> int:
    """``run()``'s exit code, or that of the error which it raised, told in one line.

    Errors that no user can cause keep their traceback.
    """
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            return run()
    except KeyboardInterrupt:
        return _tell("stopped", INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output is gone. Python would complain when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except ModuleNotFoundError as error:
        extra = _extra_of(error.name or "")
        if extra is None:
            raise
        return _tell(f"this needs {error.name}, which is not installed: pip install 'bittern[{extra}]'", UNUSABLE)
    except ImportError as error:
        return _tell(str(error), UNUSABLE)
    except OSError as error:
        reason = error.strerror or str(error)
        where = f"{error.filename}: " if error.filename is not None else ""
        return _tell(where + reason, FAILED if error.errno in _MACHINE else UNUSABLE)
    except FailedError as error:
        return _tell(str(error), FAILED)
    except ValueError as error:
        return _tell(str(error), UNUSABLE)


def say(message: str) -> None:
    """One line on standard error."""
    print(f"bittern: {one_line(message)}", file=sys.stderr)


def one_line(message: str) -> str:
    """``message`` without line breaks, cut where it runs on and on."""
    text = " ".join(message.split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ... ({SHOW_TRACEBACK}=1 shows all)"


def _tell(message: str, code: int) -> int:
    if os.environ.get(SHOW_TRACEBACK):
        traceback.print_exc()
    say(message)
    return code


def _extra_of(module: str) -> str | None:
    top = module.split(".")[0]
    return next((extra for extra, modules in _EXTRAS.items() if top in modules), None)


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    say(f"warning: {message}")
