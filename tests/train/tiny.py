"""Runs small enough for a test."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bittern.train import Reporter, RunResult, run

TINY = {"model.widths": "8,8", "model.depths": "1,1", "batch_size": 128}
"""A network of two narrow blocks: an epoch of `digits` is 11 steps and takes a fraction of a second."""


class CutShortError(Exception):
    """What ``cut_short`` raises."""


def cut_short() -> None:
    """Ends a run without a warning, as ``At``'s ``act``."""
    raise CutShortError


class At(Reporter):
    """Calls ``act`` after step ``step``, and keeps every event."""

    def __init__(self, step: int = 0, act: Callable[[], Any] | None = None) -> None:
        self._step, self._act = step, act
        self.steps: list[int] = []
        self.rows: list[Mapping[str, Any]] = []
        self.messages: list[str] = []

    def step(self, done: int, total: int, figures: Mapping[str, float | None]) -> None:
        self.steps.append(done)
        if self._act and done == self._step:
            self._act()

    def epoch(self, row: Mapping[str, Any]) -> None:
        self.rows.append(row)

    def message(self, text: str) -> None:
        self.messages.append(text)


def train(out: Path, *, epochs: int = 2, overrides: Mapping[str, Any] | None = None, **arguments: Any) -> RunResult:
    """Two epochs of each step of `digits`, on the tiny network."""
    changed = {**TINY, **(overrides or {})}
    return run("digits", None, out, epochs=epochs, overrides=changed, accelerator="cpu", **arguments)
