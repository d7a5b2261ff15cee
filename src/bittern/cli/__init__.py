"""The command line. ``main`` is the entry point of ``bittern``; importing it loads no third-party package."""

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs ``bittern ARGUMENTS...`` (``sys.argv`` by default) and returns the exit code.

    0: success; 1: a check failed, or a valid request could not be completed; 2: invalid usage or input; 130:
    interrupted. Errors are one line on standard error.
    """
    from bittern.cli._errors import guarded

    def run() -> int:
        from bittern.cli._app import invoke

        return invoke(arguments)

    return guarded(run)
