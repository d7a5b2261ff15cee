"""One process's part of a run: walks the steps that are left, logs them and saves checkpoints."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from bittern.train import checkpoint, runs
from bittern.train.errors import TrainingError, TrainingInterrupted
from bittern.train.log import Curves, write_csv
from bittern.train.observer import Observer
from bittern.train.progress import Reporter
from bittern.train.ranks import Ranks
from bittern.train.recipe import Recipe
from bittern.train.skipped import SKIPPED_FILE, SkippedImages
from bittern.train.stop import StopRequest
from bittern.train.trainer import Position, Trainer

_NAMED = 5
"""So many of the images that cannot be read are named in a message."""


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
        ranks: Ranks,
        observers: Sequence[Observer],
        checkpoint_seconds: float,
    ) -> None:
        self._recipe, self._folder, self._identity = recipe, folder, identity
        self._trainer, self._position, self._stop, self._ranks = trainer, position, stop, ranks
        self._reporter, self._observers = reporter, observers
        self._skipped = SkippedImages(None if ranks.rank else folder)
        self._checkpoint_seconds = checkpoint_seconds
        self._saved_at = time.monotonic()

    def train(self) -> None:
        at, trainer = self._position, self._trainer
        total = self._recipe.epochs * trainer.batches
        curves = Curves(self._folder, at.step + 1) if self._ranks.rank == 0 else None
        try:
            while at.stage < len(self._recipe.stages):
                trainer.enter(at)
                while at.epoch < self._recipe.stages[at.stage].epochs:
                    self._train_epoch(total)
                    if curves:
                        curves.add(at.history[-1])
                        write_csv(self._folder, at.history)
                    self._save()
                at.stage, at.epoch = at.stage + 1, 0
        finally:
            if curves:
                curves.close()
            for observer in self._observers:
                observer.close()

    def _train_epoch(self, total: int) -> None:
        at, trainer = self._position, self._trainer
        began, waited = time.monotonic() - at.seconds, trainer.waited - at.waited
        for images, labels in trainer.epoch(at):
            self._pause()
            loss, diverged = trainer.step(images, labels, at)
            if diverged:
                self._fail(loss, images)
            at.batch, at.step, at.seconds = at.batch + 1, at.step + 1, time.monotonic() - began
            at.waited = trainer.waited - waited
            self._reporter.step(at.step, total, self._figures())
        row = self._row(began)
        self._note_skipped(at.epoch)
        row["skipped"] = len(self._skipped)
        at.history.append(row)
        at.seconds = at.waited = 0.0
        trainer.reset_epoch_means()
        self._reporter.epoch(row)
        for observer in self._observers:
            observer.epoch(at, row)

    def _note_skipped(self, epoch: int) -> None:
        """Writes and tells which images could not be read since the last call; all processes together."""
        new = self._skipped.add(self._ranks.join(self._trainer.skipped), self._stage, epoch)
        if new:
            names = ", ".join(f"{name} ({reason})" for name, reason in new[:_NAMED])
            more = f", and {len(new) - _NAMED} more in {SKIPPED_FILE}" if len(new) > _NAMED else ""
            self._reporter.message(f"skipped {len(new)} images that cannot be read: {names}{more}")

    def _pause(self) -> None:
        """Saves if a checkpoint is due or the run was told to stop, which it then does; all processes together."""
        due = self._position.batch > 0 and time.monotonic() - self._saved_at > self._checkpoint_seconds
        stop, due = self._ranks.any(self._stop.received is not None, due)
        if stop or due:
            self._note_skipped(self._position.epoch + 1)
            self._save()
        if stop:
            where = checkpoint.describe(self._folder / runs.CHECKPOINT_FOLDER)
            by = self._stop.received or "another process"
            raise TrainingInterrupted(f"stopped by {by} at {where}; go on with --resume --out {self._folder}")

    def _figures(self) -> dict[str, float | None]:
        at = self._position
        loss, accuracy = self._trainer.epoch_means()
        waiting = at.waited / at.seconds if at.seconds else 0.0
        return {
            "loss": loss,
            "accuracy": accuracy,
            "flip_rate": self._trainer.flip_rate(),
            "steps_per_second": at.batch / at.seconds if at.seconds else 0.0,
            "waiting": waiting,
        }

    def _row(self, began: float) -> dict[str, Any]:
        """Ends the epoch: evaluates if it is time to, and returns the line of the log."""
        at, trainer, recipe = self._position, self._trainer, self._recipe
        stage, figures = recipe.stages[at.stage], self._figures()
        at.epoch, at.batch = at.epoch + 1, 0
        looked = at.epoch == stage.epochs or at.epoch % recipe.evaluate_every == 0
        test_loss, test_accuracy = trainer.evaluate() if looked else (None, None)
        world = self._ranks.world
        loss, accuracy = (total / world for total in self._ranks.sum((figures["loss"], figures["accuracy"])))  # type: ignore[arg-type]
        return {
            "stage": stage.name,
            "epoch": at.epoch,
            "step": at.step,
            "lr": trainer.learning_rate(at),
            "loss": loss,
            "accuracy": accuracy,
            "test_loss": test_loss,
            "test_accuracy": test_accuracy,
            "flip_rate": figures["flip_rate"],
            "seconds": round(time.monotonic() - began, 3),
            "steps_per_second": round(figures["steps_per_second"] or 0.0, 4),
            "waiting": round(figures["waiting"] or 0.0, 4),
        }

    def _save(self) -> None:
        at = self._position
        tensors = self._trainer.tensors()  # which all processes must ask for
        self._check(tensors)
        self._saved_at = time.monotonic()
        if self._ranks.rank:
            return
        state = {
            **self._identity,
            **at.to_json(),
            "stage_name": self._stage,
            "processes": self._ranks.world,
        }
        checkpoint.save(self._folder / runs.CHECKPOINT_FOLDER, checkpoint.Checkpoint(tensors, state), at.step)

    def _check(self, tensors: Mapping[str, Tensor]) -> None:
        """Raises TrainingError, in all processes, if what they would save is not finite: no loss needs to show it."""
        broken = self._ranks.join(self._trainer.broken(tensors))
        if broken:
            at = self._position
            raise self._diverged(f"{broken[0]!r} is not finite after step {at.step} ({self._stage}): training diverged")

    def _fail(self, loss: float, images: Tensor) -> None:
        at = self._position
        where = f"step {at.step + 1} (epoch {at.epoch + 1} of {self._stage})"
        cause, layer = self._trainer.cause(loss), self._trainer.diagnosis(images)
        raise self._diverged(f"{cause} at {where}: training diverged; {layer}")

    def _diverged(self, what: str) -> TrainingError:
        saved = self._folder / runs.CHECKPOINT_FOLDER
        there = checkpoint.exists(saved)
        kept = checkpoint.describe(saved) if there else "none"
        start = f"that starts from its weights (--from {self._folder} --set lr=...)" if there else "(--set lr=...)"
        return TrainingError(f"{what}. Last good checkpoint: {kept}. Try a lower learning rate in a new run {start}")

    @property
    def _stage(self) -> str:
        return self._recipe.stages[self._position.stage].name
