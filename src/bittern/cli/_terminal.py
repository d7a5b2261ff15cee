"""Standard streams that are closed, narrow or about to be written to by somebody else's names."""

import codecs
import io
import os
import sys
from typing import cast

_PLAIN = str.maketrans({"µ": "u", "…": "..."})
"""For terminals that lack these characters."""

_ERRORS = "bittern"


def prepare_streams() -> None:
    """Makes standard output and error usable by any command, whatever it was started with.

    A closed stream, as ``>&-`` leaves it, becomes the null device: the next file that is opened would take its number
    and receive what is printed. Characters that the terminal's encoding lacks are written plainly or as escapes.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115 - until the process ends
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    codecs.register_error(_ERRORS, _replace)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ERRORS)


def _replace(error: UnicodeError) -> tuple[str, int]:
    failed = cast(UnicodeEncodeError, error)
    text = failed.object[failed.start : failed.end].translate(_PLAIN)
    return text.encode("ascii", "backslashreplace").decode(), failed.end
