"""The list of steps that grows while the demo runs, with what each one gave and how long it took."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table

from bittern.cli._output import percent_text, seconds_text
from bittern.train import Reporter


class Step:
    """The step under way. ``note`` stands behind its title: progress first, the outcome in the end."""

    def __init__(self, title: str) -> None:
        self.title, self.note = title, ""
        self.seconds: float | None = None
        self.spinner = Spinner("dots", style="cyan")
        self._began = time.perf_counter()

    def finish(self) -> None:
        self.seconds = self.elapsed

    @property
    def elapsed(self) -> float:
        return time.perf_counter() - self._began if self.seconds is None else self.seconds


class Steps:
    """Shows steps live on a terminal; elsewhere one line when a step is done."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._steps: list[Step] = []
        self._live = Live(get_renderable=self._table, console=console, refresh_per_second=8)

    @property
    def seconds(self) -> dict[str, float]:
        """Title -> time of every step that is done."""
        return {step.title: step.elapsed for step in self._steps}

    @contextmanager
    def shown(self) -> Iterator[None]:
        if not self._console.is_terminal:
            yield
            return
        with self._live:
            yield

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        step = Step(title)
        self._steps.append(step)
        yield step
        step.finish()
        if not self._console.is_terminal:
            self._console.print(f"{step.title}: {step.note} ({seconds_text(step.elapsed)})", soft_wrap=True)

    def _table(self) -> Table:
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column(min_width=1)
        grid.add_column(min_width=max((len(step.title) for step in self._steps), default=0))
        grid.add_column(style="dim", justify="right", min_width=len("100.0 s"))
        # Where the line is too short, the note gives way.
        grid.add_column(style="dim", overflow="ellipsis", no_wrap=True)
        for step in self._steps:
            state = step.spinner if step.seconds is None else "[green]✓[/green]"
            grid.add_row(state, step.title, f"{step.elapsed:.1f} s", step.note)
        return grid


class StepReporter(Reporter):
    """Shows a training run as the note of a step."""

    def __init__(self, step: Step) -> None:
        self._step = step
        self._epoch = ""

    def epoch(self, row: Mapping[str, Any]) -> None:
        if row["test_accuracy"] is not None:
            self._epoch = f"{row['stage']} epoch {row['epoch']}, {percent_text(row['test_accuracy'])} right"

    def step(self, done: int, total: int, figures: Mapping[str, float | None]) -> None:
        self._step.note = ", ".join(filter(None, (f"{done / total:.0%}", self._epoch)))
