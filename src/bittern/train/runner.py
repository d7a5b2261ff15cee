"""``run``: a run's life from its folder to its result. ``_Run`` owns what changes, ``Context`` holds what does not."""

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bittern._distributed import launched
from bittern._run_files import CHECKPOINT_FOLDER, LOCK_FILE, SKIPPED_FILE
from bittern.data import Dataset, ImageSource, Split, get_dataset, open_dataset
from bittern.train import checkpoint, lock, runs, state, weights
from bittern.train.context import Context
from bittern.train.divergence import broken_state, describe_divergence
from bittern.train.errors import RunError, TrainingError, TrainingInterrupted
from bittern.train.evaluation import evaluate
from bittern.train.identity import check_data, check_settings, data_identity, run_identity
from bittern.train.launch import Launch
from bittern.train.log import EpochLog
from bittern.train.means import EpochMeans
from bittern.train.observer import Observer
from bittern.train.optimizers import learning_rate
from bittern.train.position import Position
from bittern.train.progress import Reporter
from bittern.train.ranks import Ranks
from bittern.train.recipe import Recipe
from bittern.train.recipes import get_recipe
from bittern.train.settings import with_overrides
from bittern.train.skipped import SkippedImages
from bittern.train.stages import ActiveStage, enter_stage
from bittern.train.step import train_step
from bittern.train.stop import StopRequest
from bittern.train.teachers import check_teacher, find_teacher
from bittern.train.threads import beside_decoding

_NAMED = 5
"""A message names at most this many of the images that cannot be read."""


@dataclass(frozen=True)
class RunResult:
    """Where a run's files are, and what its ``model.json`` says (``info.metrics["test_accuracy"]``).

    ``first``: whether this process is the one of several that should report.
    """

    folder: Path
    info: runs.RunInfo
    first: bool = True


def run(
    recipe: str | Recipe,
    data: str | Path | Dataset | None,
    out: str | Path,
    *,
    epochs: int | None = None,
    seed: int = 0,
    overrides: Mapping[str, Any] | None = None,
    resume: bool = False,
    progress: Reporter | None = None,
    checkpoint_seconds: float = 60.0,
    accelerator: str = "auto",
    workers: int | None = None,
    teacher: str | Path | nn.Module | None = None,
    start: str | Path | None = None,
    modules: Sequence[str] = (),
    observers: Sequence[Observer] = (),
) -> RunResult:
    """Trains ``recipe`` and leaves in ``out`` the model (``load_run``), ``log.csv`` and a checkpoint.

    On a CPU the same seed, settings and number of threads give the same weights, also across ``resume``. Under
    ``torchrun`` the processes share the batches; all call this with the same arguments.

    Args:
        data: the data set's folder, None for one that needs none; or any data set, such as one that
            `bittern.data.from_torch` made, in place of the recipe's.
        epochs: epochs of every stage, instead of the recipe's.
        overrides: other settings by key (``bittern.train.settings_of`` lists them); values may be strings.
        resume: continue from the checkpoint in ``out``, or start if there is none yet. The function `resume` takes
            the settings from there too.
        checkpoint_seconds: a checkpoint is written at the end of each epoch, and when the last one is older than this.
        accelerator: ``"cpu"``, ``"cuda"``, ``"mps"``, or ``"auto"`` for the fastest that there is.
        workers: processes that decode the images of a streamed data set; None for as many as there are cores to spare.
        teacher: a run folder, or any network that maps the same input to logits [N, classes]; for recipes with one.
        start: a run folder whose weights the first stage starts from; those of its checkpoint if it is not finished.
        modules: names of modules that register the recipe's own model or data set, for whoever resumes the run.
        observers: called at every step, in this order; they are no part of the run's settings.

    Raises:
        ValueError: unknown recipe or setting, value out of range, unusable data (DataError) or run folder (RunError).
        TrainingError: training diverged, or the disk is full; earlier checkpoints are intact.
        TrainingInterrupted: SIGINT, SIGTERM or SIGHUP came; a checkpoint is saved.
    """
    recipe = get_recipe(recipe) if isinstance(recipe, str) else recipe
    recipe = with_overrides(recipe, {**({} if epochs is None else {"epochs": epochs}), **(overrides or {})})
    if seed < 0:
        raise ValueError(f"seed must be at least 0, got {seed}")
    folder, reporter = Path(out), progress if progress is not None and launched()[0] == 0 else Reporter()
    given = find_teacher(recipe, teacher)
    network = given.model if isinstance(given, runs.Run) else given
    first_weights = None if start is None else runs.load_weights(start)
    teacher_weights = None if network is None else network.state_dict()
    given_data = data.info.name if isinstance(data, Dataset) else recipe.dataset
    identity = run_identity(recipe, seed, given_data, teacher=teacher_weights, start=first_weights)
    with ExitStack() as entered:
        if launched()[0] == 0:
            entered.enter_context(lock.hold(folder))
        saved = _open_folder(folder, identity, resume)
        if isinstance(saved, runs.RunInfo):
            reporter.message(f"{folder} is already finished")
            return RunResult(folder, saved, launched()[0] == 0)
        entered.enter_context(reporter)
        stop = entered.enter_context(StopRequest())
        entered.enter_context(_own_random_stream())
        ranks = Ranks(accelerator)
        streamed = not isinstance(data, Dataset) and get_dataset(recipe.dataset).streamed
        if streamed and ranks.device.type == "cpu":
            entered.enter_context(beside_decoding())
        opened = data if isinstance(data, Dataset) else _open_data(recipe, data, ranks, reporter, workers)
        if isinstance(given, runs.Run):
            check_teacher(given, opened.info)
        images = data_identity(opened)
        if saved:
            check_data(folder, saved.state.get("data", {}), images)
        train, test = (_on_device(opened.splits[name], ranks.device) for name in ("train", "test"))
        context = Context(
            recipe=recipe,
            seed=seed,
            folder=folder,
            ranks=ranks,
            info=opened.info,
            train=train,
            test=test,
            identity=identity,
            data_identity=images,
            teacher=None if network is None else network.to(ranks.device),
            start=first_weights,
        )
        if ranks.rank == 0 and not saved:
            Launch.of(recipe, seed, data, teacher, start, modules).save(folder)
        training = _Run(context, reporter, stop, observers, checkpoint_seconds)
        if saved:
            training.restore(saved)
            reporter.message(f"resuming from {checkpoint.describe(folder / CHECKPOINT_FOLDER)}")
            if (before := saved.state.get("threads")) != (now := torch.get_num_threads()):
                reporter.message(
                    f"started on {before} threads, resumed on {now}: sums are rounded otherwise, so the weights will "
                    f"not be bit for bit those of a run without a stop; OMP_NUM_THREADS={before} makes them so"
                )
        info, result = training.train()
        if ranks.rank == 0:
            runs.save_run(folder, result, info)
        ranks.barrier()
    return RunResult(folder, info, ranks.rank == 0)


def _open_folder(folder: Path, identity: dict[str, Any], resume: bool) -> checkpoint.Checkpoint | runs.RunInfo | None:
    """The checkpoint to resume from, what a finished run says, or None to start; RunError where neither may be done."""
    if not resume:
        if folder.is_dir() and any(path.name != LOCK_FILE for path in folder.iterdir()):
            raise RunError(
                f"{folder} is not empty; choose another folder, or resume the run in it with --resume {folder}"
            )
        return None
    if runs.is_finished(folder):
        info, _ = runs.read_info(folder)
        check_settings(folder, {key: getattr(info, key) for key in identity}, identity)
        return info
    if checkpoint.exists(folder / CHECKPOINT_FOLDER):
        saved = checkpoint.load(folder / CHECKPOINT_FOLDER)
        check_settings(folder, saved.state, {**identity, "processes": launched()[1]})
        return saved
    return None


def _open_data(
    recipe: Recipe, folder: str | Path | None, ranks: Ranks, reporter: Reporter, workers: int | None
) -> Dataset:
    # Where an index is kept, one process makes it, and the others find it.
    with ranks.first_alone() if get_dataset(recipe.dataset).keeps_index else nullcontext():
        return open_dataset(
            recipe.dataset, folder, image_size=recipe.image_size or None, workers=workers, progress=reporter.data
        )


def _on_device(source: ImageSource, device: torch.device) -> ImageSource:
    return source.to(device) if isinstance(source, Split) else source


def _own_random_stream() -> AbstractContextManager[None]:
    """Inside, torch's global generators belong to the run; afterwards the caller's are as they were."""
    return torch.random.fork_rng([torch.cuda.current_device()] if torch.cuda.is_available() else [])


class _Run:
    """Position, stage under way and means of a run, from its first step or a checkpoint to the end of its recipe.

    It alone calls reporter and observers, and writes every file but the result.
    """

    def __init__(
        self,
        context: Context,
        reporter: Reporter,
        stop: StopRequest,
        observers: Sequence[Observer],
        checkpoint_seconds: float,
    ) -> None:
        self._context, self._reporter, self._stop, self._observers = context, reporter, stop, observers
        self._checkpoint_seconds, self._saved_at = checkpoint_seconds, time.monotonic()
        self._skipped = SkippedImages(None if context.ranks.rank else context.folder)
        self._position = Position()
        self._stage: ActiveStage | None = None
        self._means = EpochMeans()

    def restore(self, saved: checkpoint.Checkpoint) -> None:
        """Goes to where the checkpoint was taken."""
        self._position, self._stage, self._means = state.restore(self._context, saved)

    def train(self) -> tuple[runs.RunInfo, dict[str, Tensor]]:
        """The remaining stages; then what ``model.json`` says of the result, and its ``state_dict``."""
        at, stages = self._position, self._context.recipe.stages
        log = EpochLog(None if self._context.ranks.rank else self._context.folder, at.step + 1)
        try:
            while at.stage < len(stages):
                stage = self._enter()
                while at.epoch < stage.settings.epochs:
                    self._train_epoch(stage)
                    log.write(at.history)
                    self._save(stage)
                at.stage, at.epoch = at.stage + 1, 0
            return self._info(len(stages) - 1), weights.single(stage.result.state_dict())
        finally:
            log.close()
            for observer in self._observers:
                observer.close()

    def _enter(self) -> ActiveStage:
        at, recipe = self._position, self._context.recipe
        if self._stage is None or self._stage.settings is not recipe.stages[at.stage]:  # else it was restored
            self._stage = enter_stage(self._context, at.stage, self._stage)
        for observer in self._observers:
            observer.start(self._stage.network, self._stage.optimizer, self._context.folder, at)
        return self._stage

    def _train_epoch(self, stage: ActiveStage) -> None:
        at, context = self._position, self._context
        total = context.recipe.epochs * context.batches
        began, waited = time.monotonic() - at.seconds, context.train.waited - at.waited
        for images, labels in context.epoch(at):
            self._save_or_stop_if_due(stage)
            step = train_step(context, stage, images, labels, context.progress(at))
            if step.diverged:
                raise self._failure(stage, step.loss, images)
            self._means.add(step)
            for observer in self._observers:
                observer.step(at)
            at.batch, at.step = at.batch + 1, at.step + 1
            at.seconds, at.waited = time.monotonic() - began, context.train.waited - waited
            self._reporter.step(at.step, total, self._figures(stage))
        row = self._finish_epoch(stage, began)
        self._reporter.epoch(row)
        for observer in self._observers:
            observer.epoch(at, row)

    def _finish_epoch(self, stage: ActiveStage, began: float) -> dict[str, Any]:
        """Evaluates if it is time to, and moves on to the next epoch; returns the epoch's row of ``log.csv``."""
        at, context, figures = self._position, self._context, self._figures(stage)
        at.epoch, at.batch = at.epoch + 1, 0
        due = at.epoch == stage.settings.epochs or at.epoch % context.recipe.evaluate_every == 0
        test_loss, test_accuracy = evaluate(context, stage) if due else (None, None)
        loss, accuracy = (
            total / context.ranks.world for total in context.ranks.sum(self._means.loss, self._means.accuracy)
        )
        row = {
            "stage": stage.settings.name,
            "epoch": at.epoch,
            "step": at.step,
            "lr": learning_rate(stage.settings, context.progress(at)),
            "loss": loss,
            "accuracy": accuracy,
            "test_loss": test_loss,
            "test_accuracy": test_accuracy,
            "flip_rate": figures["flip_rate"],
            "seconds": round(time.monotonic() - began, 3),
            "steps_per_second": round(figures["steps_per_second"] or 0.0, 4),
            "waiting": round(figures["waiting"] or 0.0, 4),
            "skipped": self._count_skipped(stage, at.epoch),
        }
        at.history.append(row)
        at.seconds = at.waited = 0.0
        self._means = EpochMeans()
        stage.flips.reset()
        return row

    def _figures(self, stage: ActiveStage) -> dict[str, float | None]:
        at = self._position
        return {
            "loss": self._means.loss,
            "accuracy": self._means.accuracy,
            "flip_rate": stage.flips.rate(),
            "steps_per_second": at.batch / at.seconds if at.seconds else 0.0,
            "waiting": at.waited / at.seconds if at.seconds else 0.0,
        }

    def _count_skipped(self, stage: ActiveStage, epoch: int) -> int:
        """Images that could not be read so far; lists and reports the new ones. All processes together."""
        context = self._context
        unread = context.ranks.join([*context.train.skipped, *context.test.skipped])
        new = self._skipped.add(unread, stage.settings.name, epoch)
        if new:
            names = ", ".join(f"{name} ({reason})" for name, reason in new[:_NAMED])
            more = f", and {len(new) - _NAMED} more in {SKIPPED_FILE}" if len(new) > _NAMED else ""
            self._reporter.message(f"skipped {len(new)} images that cannot be read: {names}{more}")
        return len(self._skipped)

    def _save_or_stop_if_due(self, stage: ActiveStage) -> None:
        """Before a step, in all processes: saves if a checkpoint is due, and ends the run if it was told to stop."""
        at, context = self._position, self._context
        due = at.batch > 0 and time.monotonic() - self._saved_at > self._checkpoint_seconds
        stop, due = context.ranks.any(self._stop.received is not None, due)
        if stop or due:
            self._count_skipped(stage, at.epoch + 1)
            self._save(stage)
        if stop:
            where = checkpoint.describe(context.folder / CHECKPOINT_FOLDER)
            signal = self._stop.received or "a signal to another process"
            raise TrainingInterrupted(f"stopped by {signal} at {where}; resume with --resume {context.folder}")

    def _save(self, stage: ActiveStage) -> None:
        """Writes a checkpoint. All processes together.

        Raises:
            TrainingError: in all processes, if weights or optimizer state of one are not finite, which no loss needs to
                show; or the disk is full.
        """
        at, context = self._position, self._context
        tensors = state.collect(context, stage, self._means)
        broken = context.ranks.join(broken_state(stage, tensors))
        if broken:
            raise self._diverged(f"{broken[0]!r} is not finite after step {at.step} ({stage.settings.name})")
        self._saved_at = time.monotonic()
        if context.ranks.rank == 0:
            where = {
                **at.to_json(),
                "stage_name": stage.settings.name,
                "processes": context.ranks.world,
                "threads": torch.get_num_threads(),
            }
            known = {"data": context.data_identity, "network": self._info(at.stage).to_json()}
            saved = checkpoint.Checkpoint(tensors, {**context.identity, **known, **where})
            checkpoint.save(context.folder / CHECKPOINT_FOLDER, saved, at.step)

    def _failure(self, stage: ActiveStage, loss: float, images: Tensor) -> TrainingError:
        at = self._position
        cause, layer = describe_divergence(self._context, stage, loss, images)
        where = f"step {at.step + 1} (epoch {at.epoch + 1} of {stage.settings.name})"
        return self._diverged(f"{cause} at {where}", f"; {layer}")

    def _diverged(self, what: str, detail: str = "") -> TrainingError:
        folder = self._context.folder
        saved = folder / CHECKPOINT_FOLDER
        there = checkpoint.exists(saved)
        kept = checkpoint.describe(saved) if there else "none"
        start = f"that starts from its weights (--from {folder} --set lr=...)" if there else "(--set lr=...)"
        return TrainingError(
            f"{what}: training diverged{detail}. Last good checkpoint: {kept}. Try a lower learning rate in a new run "
            f"{start}"
        )

    def _info(self, stage: int) -> runs.RunInfo:
        """What is known of the network of ``stage``, and what was measured last."""
        context, history = self._context, self._position.history
        last = history[-1] if history else {}
        measured = {
            "test_accuracy": last.get("test_accuracy"),
            "test_loss": last.get("test_loss"),
            "train_accuracy": last.get("accuracy"),
            "train_loss": last.get("loss"),
            "seconds": round(sum(row["seconds"] for row in history), 3),
        }
        return runs.RunInfo(
            **context.identity,
            options=context.model_options(context.recipe.stages[stage]),
            class_names=context.info.class_names,
            input_shape=context.info.input_shape,
            preprocessing=context.info.preprocessing,
            metrics={name: value for name, value in measured.items() if value is not None},
            versions=runs.versions(),
        )
