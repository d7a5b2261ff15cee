"""The watch as an observer of ``bittern.train``."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import nn
from torch.optim import Optimizer

from bittern._distributed import is_first
from bittern._run_files import STUDY_FOLDER
from bittern.study.layers import find_latent_weights, unwrap
from bittern.study.watch import Watch
from bittern.train.errors import TrainingError
from bittern.train.observer import Observer
from bittern.train.position import Position


class TrainingObserver(Observer):
    """Watches every stage of a run and writes into its folder, under ``study``; ``options`` are those of ``watch``.

    Stages without binary layers, such as a float first step, are skipped.
    """

    def __init__(self, **options: Any) -> None:
        self._options = options
        self._watch: Watch | None = None

    def start(self, model: nn.Module, optimizer: Optimizer, folder: Path, at: Position) -> None:
        self.close()
        if at.step == 0 and is_first():  # left by an attempt that ended before its first checkpoint
            shutil.rmtree(folder / STUDY_FOLDER, ignore_errors=True)
        if not find_latent_weights(unwrap(model)):
            return
        # A stage is told apart by its number: its first step may be the step where a run was resumed.
        with _writing():
            self._watch = Watch(
                model, optimizer, folder / STUDY_FOLDER, step=at.step, stage=str(at.stage + 1), **self._options
            )

    def step(self, at: Position) -> None:
        if self._watch is not None:
            with _writing():
                self._watch.step()

    def epoch(self, at: Position, row: Mapping[str, Any]) -> None:
        if self._watch is not None:
            with _writing():
                self._watch.epoch(row["epoch"], row["stage"])

    def close(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            with _writing():
                watch.close()


@contextmanager
def _writing() -> Iterator[None]:
    """A full disk ends the run as it does where a checkpoint is written."""
    try:
        yield
    except OSError as error:
        raise TrainingError(
            f"cannot write the study ({error}); the last checkpoint is intact. Free some space, then continue with "
            "--resume"
        ) from error
