"""``python -m fuzz SECONDS``: fuzzes operators for four fifths of the time and loading for the rest; `make fuzz`.

``python -m fuzz strangers CASES`` runs so many cases of each kind of `fuzz.strangers`; `make fuzz-strangers`.

Inputs that reach new code are kept in build/fuzz/found, where the next run starts.
"""

import sys
import tempfile
import time
from pathlib import Path

from fuzz import loading, operators, strangers
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


def main_strangers(cases: int) -> int:
    seed, found = int(time.time()), 0
    with tempfile.TemporaryDirectory() as folder:
        bases = strangers.write_bases(Path(folder))
        for kind in strangers.KINDS:
            try:
                report = strangers.fuzz(kind, bases, seed, cases)
            except operators.FindingError as error:
                print(error, file=sys.stderr)
                found += 1
                continue
            print(f"{kind}: {report.cases} cases, {report.accepted} accepted, at most {report.peak:.0f} MB", flush=True)
    return min(found, 1)


if __name__ == "__main__":
    strange = sys.argv[1] == "strangers"
    sys.exit(main_strangers(int(sys.argv[2])) if strange else main(int(sys.argv[1])))
