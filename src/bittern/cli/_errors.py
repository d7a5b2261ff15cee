"""Turns exceptions into one line on standard error and an exit code."""

import errno
import os
import sys
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO

from bittern._text import printable
from bittern.cli._terminal import prepare_streams

FAILED = 1
UNUSABLE = 2
INTERRUPTED = 130

SHOW_TRACEBACK = "BITTERN_TRACEBACK"
"""Environment variable: if it is not empty, errors are printed with their traceback."""

_MAX_LENGTH = 600  # characters of a message; PyTorch's can fill pages
_EXTRAS = {
    "cli": ("typer", "rich", "PIL"),
    "export": ("executorch", "torchao", "flatbuffers", "ruamel", "tabulate"),
    "import": ("h5py", "onnx"),
    "train": ("torch", "safetensors", "pyarrow", "sklearn", "matplotlib", "jinja2"),
}
"""Extra of the package -> the modules it installs."""

# The request was valid; the machine could not fulfil it.
_MACHINE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOMEM)


class FailedError(Exception):
    """A check failed, or a valid request could not be completed: exit code 1."""


def guarded(run: Callable[[], int]) -> int:
    """Returns ``run()``'s exit code, or that of the error it raised, which is reported in one line.

    Errors that only a bug can cause propagate, with their traceback.
    """
    prepare_streams()
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            code = run()
            sys.stdout.flush()  # a full disk shows here, not when Python ends
            return code
    except KeyboardInterrupt:
        return _report("stopped", INTERRUPTED)
    except BrokenPipeError:
        # Whatever read our output is gone. Python would complain when it flushes standard output at exit.
        _drop_output()
        return FAILED
    except ModuleNotFoundError as error:
        extra = _extra_of(error.name or "")
        if extra is None:
            raise
        return _report(
            f"this needs {error.name}, which is not installed: pip install '.[{extra}]' in Bittern's folder", UNUSABLE
        )
    except ImportError as error:
        return _report(str(error), UNUSABLE)
    except OSError as error:
        if error.filename is None and error.errno in _MACHINE:
            _drop_output()
        reason = error.strerror or str(error)
        where = f"{error.filename}: " if error.filename is not None else ""
        return _report(where + reason, FAILED if error.errno in _MACHINE else UNUSABLE)
    except FailedError as error:
        return _report(str(error), FAILED)
    except ValueError as error:
        return _report(str(error), UNUSABLE)


def say(message: str) -> None:
    """One line on standard error; nothing if the terminal is gone."""
    with suppress(OSError):
        print(f"bittern: {one_line(message)}", file=sys.stderr, flush=True)


def one_line(message: str) -> str:
    """``message`` without line breaks and what a terminal would obey, truncated if it is very long."""
    text = printable(" ".join(message.split()))
    return text if len(text) <= _MAX_LENGTH else f"{text[:_MAX_LENGTH]} ... ({SHOW_TRACEBACK}=1 shows all)"


def _drop_output() -> None:
    """What is still to be printed is lost; Python would complain about it when it ends."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _report(message: str, code: int) -> int:
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
