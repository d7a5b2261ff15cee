"""The command line. ``main`` is the entry point of ``bittern``; importing this package loads no third-party package."""

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs ``bittern ARGUMENTS...`` (``sys.argv`` by default) and returns the exit code.

    0: done; 1: a check failed, or work that was rightly asked for could not be finished; 2: what was asked for or given
    cannot be used; 130: interrupted. What went wrong is one line on standard error.
    """
    from bittern.cli._errors import guarded

    def run() -> int:
        from bittern.cli._app import invoke

        return invoke(arguments)

    return guarded(run)
