"""One call of the command line: what is measured, where its rows go, and what an interrupted call has finished."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure.driver import Driver
from benchmarks.measure.environments import BUILD
from benchmarks.measure.stamp import this_cpu_folder, this_stamp
from benchmarks.rows import RESULTS, Stamp, Stamped, write


@dataclass(frozen=True)
class Options:
    """``only``: text that the names of layers or networks must hold; ``fresh``: ignore what was interrupted.

    ``results``: folder of the CSV files; by default this CPU's, or where not everything is measured a temporary one.
    """

    only: str = ""
    rounds: int = 15
    rivals: bool = True
    fresh: bool = False
    results: Path | None = None

    @property
    def partial(self) -> bool:
        return bool(self.only) or not self.rivals


class Campaign:
    """Measures groups of rows, a CSV file each. A group that was finished before an interruption is not repeated, as
    long as machine, committed revision and rounds are the same."""

    def __init__(self, driver: Driver, options: Options) -> None:
        self.driver, self.options, self.stamp = driver, options, this_stamp()
        self.folder = options.results or (BUILD / "partial" if options.partial else RESULTS / this_cpu_folder())
        if self.folder == BUILD / "partial":
            shutil.rmtree(self.folder, ignore_errors=True)
        self._state = BUILD / "progress.json"
        self._key = f"{self.stamp['machine']} {self.stamp['revision']} {options.rounds}"
        resumes = not (options.fresh or options.partial or self.stamp["revision"].endswith("+"))
        self._done = self._interrupted() if resumes else []
        self._groups: list[str] = []

    def measure(self, group: str, rows: Callable[[Driver, Stamp], Sequence[Stamped]]) -> None:
        """Writes ``group``.csv with what ``rows`` returns, if that is anything."""
        self._groups.append(group)
        if group in self._done:
            self.driver.say(f"{group}: kept from the interrupted run (--fresh measures it again)")
            return
        found = rows(self.driver, self.stamp)
        if found:
            write(self.folder / f"{group}.csv", found)
        self._save([*self._done, group])

    def finish(self) -> None:
        """After a complete call, so that the next one measures everything again."""
        self._save([group for group in self._done if group not in self._groups])

    def _interrupted(self) -> list[str]:
        state = json.loads(self._state.read_text()) if self._state.exists() else {"key": ""}
        return list(state["done"]) if state["key"] == self._key else []

    def _save(self, done: list[str]) -> None:
        self._done = done
        if not self.options.partial:
            self._state.parent.mkdir(parents=True, exist_ok=True)
            self._state.write_text(json.dumps({"key": self._key, "done": done}))
