"""One process's part of a run: walks the steps that are left, logs them and saves checkpoints."""

import math
import time
from pathlib import Path
from typing import Any

from bittern.train import checkpoint, runs
from bittern.train.errors import TrainingError, TrainingInterrupted
from bittern.train.log import Curves, write_csv
from bittern.train.progress import Reporter
from bittern.train.recipes import Recipe
from bittern.train.stop import StopRequest
from bittern.train.trainer import Position, Trainer


class Session:
    """Drives ``trainer`` from ``position``, which it moves, to the end of the recipe.

    Args:
        identity: what a resumed run must have in common with this one; kept in every checkpoint.
    """

    def __init__(
        self,
        recipe: Recipe,
        folder: Path,
        identity: dict[str, Any],
        trainer: Trainer,
        position: Position,
        reporter: Reporter,
        stop: StopRequest,
        checkpoint_seconds: float,
    ) -> None:
        self._recipe, self._folder, self._identity = recipe, folder, identity
        self._trainer, self._position, self._reporter, self._stop = trainer, position, reporter, stop
        self._checkpoint_seconds = checkpoint_seconds
        self._saved_at = time.monotonic()

    def train(self) -> None:
        at, trainer = self._position, self._trainer
        total = self._recipe.epochs * trainer.batches
        curves = Curves(self._folder, at.step)
        try:
            while at.stage < len(self._recipe.stages):
                trainer.enter(at.stage)
                while at.epoch < self._recipe.stages[at.stage].epochs:
                    self._train_epoch(total)
                    curves.add(at.history[-1])
                    write_csv(self._folder, at.history)
                    self._save()
                at.stage, at.epoch = at.stage + 1, 0
        finally:
            curves.close()

    def _train_epoch(self, total: int) -> None:
        at, trainer = self._position, self._trainer
        stage = self._recipe.stages[at.stage]
        began = time.monotonic() - at.seconds
        order = trainer.order(at)
        while at.batch < trainer.batches:
            if self._stop.received:
                self._interrupt(self._stop.received)
            if at.batch and time.monotonic() - self._saved_at > self._checkpoint_seconds:
                self._save()
            loss = trainer.step(order[at.batch], at)
            if not math.isfinite(loss):
                self._fail(loss)
            at.batch, at.step, at.seconds = at.batch + 1, at.step + 1, time.monotonic() - began
            self._reporter.step(at.step, total, *trainer.epoch_means())
        mean_loss, accuracy = trainer.epoch_means()
        at.epoch, at.batch = at.epoch + 1, 0
        last = at.epoch == stage.epochs
        looked = last or at.epoch % self._recipe.evaluate_every == 0
        test_loss, test_accuracy = trainer.evaluate() if looked else (None, None)
        row = {
            "stage": stage.name,
            "epoch": at.epoch,
            "step": at.step,
            "lr": trainer.learning_rate(at),
            "loss": mean_loss,
            "accuracy": accuracy,
            "test_loss": test_loss,
            "test_accuracy": test_accuracy,
            "seconds": round(time.monotonic() - began, 3),
        }
        at.history.append(row)
        at.seconds = 0.0
        trainer.reset_epoch_means()
        self._reporter.epoch(row)

    def _save(self) -> None:
        at = self._position
        state = {**self._identity, **at.to_json(), "stage_name": self._recipe.stages[at.stage].name}
        saved = checkpoint.Checkpoint(self._trainer.tensors(), state)
        checkpoint.save(self._folder / runs.CHECKPOINT_FOLDER, saved, at.step)
        self._saved_at = time.monotonic()

    def _fail(self, loss: float) -> None:
        at, saved = self._position, self._folder / runs.CHECKPOINT_FOLDER
        where = f"step {at.step + 1} (epoch {at.epoch + 1} of {self._recipe.stages[at.stage].name})"
        kept = checkpoint.describe(saved) if checkpoint.exists(saved) else "none"
        raise TrainingError(
            f"the loss is {loss} at {where}: training diverged. Last good checkpoint: {kept}. "
            "Try a lower learning rate in a new run (--set lr=...)"
        )

    def _interrupt(self, signal_name: str) -> None:
        self._save()
        raise TrainingInterrupted(
            f"stopped by {signal_name} at {checkpoint.describe(self._folder / runs.CHECKPOINT_FOLDER)}; "
            f"go on with --resume --out {self._folder}"
        )
