"""Progress of a training run, for the user. A reporter that does nothing is the quiet mode."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from time import monotonic
from types import TracebackType
from typing import IO, Any, Self, cast

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from bittern._text import printable


class Reporter:
    """Receives the events of a run; override those you want to show. Used as a context manager around the run."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def data(self, what: str, done: int, total: int) -> None:
        """``done`` of ``total`` items of ``what`` are ready, such as decoded images."""

    def step(self, done: int, total: int, figures: Mapping[str, float | None]) -> None:
        """``done`` of the run's ``total`` steps are made.

        ``figures`` are means over the epoch so far: ``loss``, ``accuracy``, ``flip_rate`` (share of the binary weights
        that flip in a step; None where none are binary), ``steps_per_second`` and ``waiting`` (share of the time spent
        waiting for data).
        """

    def epoch(self, row: Mapping[str, Any]) -> None:
        """An epoch has ended; ``row`` is its line of ``log.csv``."""

    def message(self, text: str) -> None:
        """Something worth a line."""


class RichReporter(Reporter):
    """A progress bar with loss, accuracy, flip rate, speed and time left, and a line per epoch.

    If the console is not a terminal but, say, a file, it prints a line with the same every ``line_seconds`` instead. A
    terminal that is closed, or a pipe that nobody reads, ends the printing and not the run.
    """

    def __init__(self, console: Console | None = None, *, line_seconds: float = 60.0) -> None:
        console = console or Console()
        console.file = cast(IO[str], _Lasting(console.file))
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}"),
            console=console,
            transient=True,
        )
        self._tasks: dict[str, TaskID] = {}
        self._line_seconds, self._line_at = line_seconds, monotonic()
        self._first_seen: dict[str, tuple[int, float]] = {}

    def __enter__(self) -> Self:
        # In a file the bar would leave an empty line.
        if self._progress.console.is_terminal:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress.live.is_started:
            self._progress.stop()

    def data(self, what: str, done: int, total: int) -> None:
        self._update(what, done, total, "")

    def step(self, done: int, total: int, figures: Mapping[str, float | None]) -> None:
        texts = [f"loss {figures['loss']:.3f}", f"accuracy {figures['accuracy']:.1%}"]
        if figures["flip_rate"] is not None:
            texts.append(f"flips {figures['flip_rate']:.1e}")
        texts.append(f"{figures['steps_per_second']:.1f} steps/s")
        if figures["waiting"] and figures["waiting"] >= 0.01:
            texts.append(f"{figures['waiting']:.0%} waiting for data")
        self._update("training", done, total, "  ".join(texts))

    def epoch(self, row: Mapping[str, Any]) -> None:
        test = row["test_accuracy"]
        self.message(
            f"{row['stage']} epoch {row['epoch']}: loss {row['loss']:.4f}, accuracy {row['accuracy']:.2%}"
            + (f", test {test:.2%}" if test is not None else "")
            + f" ({row['seconds']:.1f} s)"
        )

    def message(self, text: str) -> None:
        self._progress.console.print(printable(text), highlight=False, markup=False)

    def _update(self, what: str, done: int, total: int, figures: str) -> None:
        if not self._progress.console.is_terminal:
            self._update_lines(what, done, total, figures)
            return
        if what not in self._tasks:
            # A resumed run begins late: the time left is estimated from here.
            self._tasks[what] = self._progress.add_task(what, total=total, completed=done, figures=figures)
        self._progress.update(self._tasks[what], completed=done, figures=figures)

    def _update_lines(self, what: str, done: int, total: int, figures: str) -> None:
        now = monotonic()
        first, began = self._first_seen.setdefault(what, (done, now))
        if now - self._line_at < self._line_seconds:
            return
        self._line_at = now
        left = timedelta(seconds=round((now - began) / (done - first) * (total - done))) if done > first else None
        parts = (f"{what} {done}/{total}", figures, f"{left} left" if left is not None else "")
        self._progress.console.print("  ".join(filter(None, parts)), highlight=False, soft_wrap=True)


class _Lasting:
    """A stream that drops what it cannot write."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()
