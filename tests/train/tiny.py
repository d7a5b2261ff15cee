"""Runs small enough for a test."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from bittern.data import Dataset, open_dataset
from bittern.train import Position, Recipe, Reporter, RunResult, Stage, get_recipe, run, with_overrides
from bittern.train.context import Context
from bittern.train.ranks import Ranks
from bittern.train.stages import ActiveStage
from bittern.train.step import StepResult, train_step

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


def recipe(*stages: Stage, **changes: Any) -> Recipe:
    """`digits` on the tiny network, with other ``stages`` if there are any."""
    row = with_overrides(get_recipe("digits"), TINY)
    return dataclasses.replace(row, **{**({"stages": stages} if stages else {}), **changes})


def binary(**keywords: Any) -> Stage:
    return Stage("train", "binary", **{"epochs": 1, "lr": 2e-3, **keywords})


def context(row: Recipe, dataset: Dataset | None = None, **fields: Any) -> Context:
    data = dataset or open_dataset("digits")
    train, test = data.splits["train"], data.splits["test"]
    return Context(row, 0, Path(), Ranks("cpu"), data.info, train, test, {}, {}, **fields)


def steps(run: Context, stage: ActiveStage, count: int, at: Position | None = None) -> list[StepResult]:
    """The first ``count`` steps of an epoch."""
    at, made = at or Position(), []
    for _, (images, labels) in zip(range(count), run.epoch(at), strict=False):
        made.append(train_step(run, stage, images, labels, run.progress(at)))
        at.batch += 1
    return made


def state(folder: Path) -> dict[str, torch.Tensor]:
    """The weights of a finished run."""
    return load_file(folder / "model.safetensors")


def same_weights(a: Path, b: Path) -> bool:
    one, other = state(a), state(b)
    return one.keys() == other.keys() and all(torch.equal(t, other[n]) for n, t in one.items())
