"""The demo's steps as lines: what each one gave and how long it took."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.status import Status

from bittern.cli._output import percent_text, plain, seconds_text
from bittern.train import Reporter


class DemoStep(Reporter):
    """The step in progress. ``note``: its outcome. As the reporter of a training run it shows the run's progress."""

    def __init__(self, title: str, status: Status) -> None:
        self._title, self._status = title, status
        self._epoch = self.note = ""

    def epoch(self, row: Mapping[str, Any]) -> None:
        if row["test_accuracy"] is not None:
            self._epoch = f", {row['stage']} epoch {row['epoch']}, {percent_text(row['test_accuracy'])} correct"

    def step(self, done: int, total: int, figures: Mapping[str, float | None]) -> None:
        self._status.update(f"{self._title}: {done / total:.0%}{self._epoch}")


class Steps:
    """Prints a line for each finished step; a terminal also shows the one in progress.

    ``seconds``: title of each finished step -> its time.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, title: str) -> Iterator[DemoStep]:
        start = time.perf_counter()
        with self._console.status(title) as status:
            step = DemoStep(title, status)
            yield step
        self.seconds[title] = time.perf_counter() - start
        self._console.print(
            f"{title}: {plain(step.note)} [dim]({seconds_text(self.seconds[title])})[/dim]", soft_wrap=True
        )
