"""``python -m fuzz SECONDS``: fuzzes operators for four fifths of the time and loading for the rest; `make fuzz`.

Inputs that reach new code are kept in build/fuzz/found, where the next run starts.
"""

import sys
import tempfile
import time
from pathlib import Path

from fuzz import loading, operators
from fuzz.base import write_base


def main(seconds: int) -> int:
    try:
        with tempfile.TemporaryDirectory() as folder:
            cases, accepted = loading.fuzz(write_base(Path(folder, "base.pte")), int(time.time()), seconds / 5)
        print(f"loading: {cases} files and texts, {accepted} of them valid")
        calls = operators.fuzz(operators.build(), operators.BUILD / "found", seconds * 4 // 5)
        print(f"operators: {calls} calls, each on every instruction set of this machine")
    except (operators.FindingError, operators.MissingError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
