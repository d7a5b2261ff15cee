"""``run``: trains a recipe from start to end, or goes on where a checkpoint stands."""

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bittern.data import DatasetInfo, get_dataset, open_dataset
from bittern.train import checkpoint, runs, weights
from bittern.train.errors import RunError
from bittern.train.identity import data_differences, data_identity
from bittern.train.observer import Observer
from bittern.train.progress import Reporter
from bittern.train.ranks import Ranks, is_first, world_size
from bittern.train.recipe import MIXED_PRECISIONS, Recipe
from bittern.train.recipes import get_recipe
from bittern.train.session import Session
from bittern.train.settings import differences, settings_of, with_overrides
from bittern.train.stop import StopRequest
from bittern.train.trainer import Position, Trainer


@dataclass(frozen=True)
class RunResult:
    """Where a run's files are, and what its ``model.json`` says (``info.metrics["test_accuracy"]``).

    ``first``: whether this process, of all that ran, is the one to speak.
    """

    folder: Path
    info: runs.RunInfo
    first: bool = True


def run(
    recipe: str | Recipe,
    data_dir: str | Path | None,
    out: str | Path,
    *,
    epochs: int | None = None,
    seed: int = 0,
    overrides: Mapping[str, Any] | None = None,
    resume: bool = False,
    progress: Reporter | None = None,
    checkpoint_seconds: float = 60.0,
    accelerator: str = "auto",
    strategy: str = "auto",
    workers: int | None = None,
    teacher: str | Path | nn.Module | None = None,
    start: str | Path | None = None,
    observers: Sequence[Observer] = (),
) -> RunResult:
    """Trains ``recipe`` and leaves in ``out``: the model (``load_run``), ``log.csv`` and a checkpoint.

    On a CPU the same seed, settings and number of threads give the same weights, also over ``resume``. Under
    ``torchrun`` the processes share the batches; all call this with the same arguments.

    Args:
        data_dir: the data set's folder; None for one that needs none.
        epochs: epochs of every stage, instead of the recipe's.
        overrides: other settings by key (``bittern.train.settings_of`` lists them); values may be strings.
        resume: go on from the checkpoint in ``out``, or start if there is none yet.
        checkpoint_seconds: besides at each epoch's end, a checkpoint is written when the last one is older than this.
        accelerator: of Lightning Fabric: ``"cpu"``, ``"cuda"``, ... or ``"auto"``.
        strategy: of several processes, ``bittern.train.ranks.STRATEGIES``.
        workers: processes that decode the images of a streamed data set; None for as many as there are cores to spare.
        teacher: a run folder, or any network that maps the same input to logits [N, classes]; for recipes with one.
        start: a run folder whose weights the first stage starts from; those of the checkpoint if it is not finished.
        observers: look on at every step; not part of the run's settings.

    Raises:
        ValueError: unknown recipe or setting, value out of range, unusable data (DataError) or run folder (RunError).
        TrainingError: training diverged, or the disk is full; earlier checkpoints are intact.
        TrainingInterrupted: SIGINT or SIGTERM came; a checkpoint is saved.
    """
    recipe = get_recipe(recipe) if isinstance(recipe, str) else recipe
    recipe = with_overrides(recipe, {**({} if epochs is None else {"epochs": epochs}), **(overrides or {})})
    if seed < 0:
        raise ValueError(f"seed must be at least 0, got {seed}")
    folder, reporter = Path(out), progress if progress is not None and is_first() else Reporter()
    taught_by, initial = _teacher(recipe, teacher), None if start is None else runs.load_weights(start)
    network = taught_by.model if isinstance(taught_by, runs.Run) else taught_by
    identity = _identity(recipe, seed)
    for key, tensors in (("teacher", None if network is None else network.state_dict()), ("start", initial)):
        if tensors is not None:
            identity["settings"][f"{key}.sha256"] = weights.digest(tensors)
    saved = _open_folder(folder, identity, resume)
    if isinstance(saved, RunResult):
        reporter.message(f"{folder} is finished already")
        return saved
    with reporter, StopRequest() as stop, _random_stream_of_the_run():
        ranks = Ranks(accelerator, MIXED_PRECISIONS[recipe.mixed_precision], strategy)
        # One process makes the index, which the others then find.
        with ranks.first_alone() if get_dataset(recipe.dataset).keeps_index else nullcontext():
            dataset = open_dataset(
                recipe.dataset, data_dir, image_size=recipe.image_size or None, workers=workers, progress=reporter.data
            )
        if isinstance(taught_by, runs.Run):
            _check_teacher(taught_by, dataset.info)
        data = data_identity(dataset)
        if saved:
            _check_data(folder, saved, data)
        trainer = Trainer(recipe, dataset, seed, ranks, network, initial, observers, folder)
        position = trainer.restore(saved) if saved else Position()
        if saved:
            reporter.message(f"going on from {checkpoint.describe(folder / runs.CHECKPOINT_FOLDER)}")
        kept = {**identity, "data": data}
        Session(recipe, folder, kept, trainer, position, reporter, stop, ranks, observers, checkpoint_seconds).train()
        info = _describe(recipe, identity, dataset.info, trainer, position)
        result = weights.single(weights.full(trainer.result.state_dict()))
        if ranks.rank == 0:
            runs.save_run(folder, result, info)
        ranks.fabric.barrier()
    return RunResult(folder, info, ranks.rank == 0)


def _teacher(recipe: Recipe, teacher: str | Path | nn.Module | None) -> runs.Run | nn.Module | None:
    if teacher is None and recipe.needs_teacher:
        raise ValueError(f"recipe {recipe.name!r} learns from a teacher: name the run folder of one (--teacher RUN)")
    if teacher is not None and not recipe.needs_teacher:
        raise ValueError(f"recipe {recipe.name!r} has no use for a teacher; try --set teacher=given")
    if teacher is None or isinstance(teacher, nn.Module):
        return teacher
    return runs.load_run(teacher)


def _check_teacher(teacher: runs.Run, data: DatasetInfo) -> None:
    """RunError unless the teacher is for the pixels that the student sees, and for the same classes."""
    its, theirs = teacher.info, data.class_names
    names = its.class_names or theirs  # imported weights may have none
    other = next((pair for pair in zip(names, theirs, strict=False) if pair[0] != pair[1]), ("", ""))
    for what, has, wanted in (
        ("input shape", its.input_shape, data.input_shape),
        ("preprocessing", its.preprocessing, data.preprocessing),
        ("number of classes", its.options["num_classes"], len(theirs)),
        ("class", *other),
    ):
        if has != wanted:
            raise RunError(f"the teacher in {teacher.folder} has {what} {has}, the data {wanted}; they must be equal")


def _identity(recipe: Recipe, seed: int) -> dict[str, Any]:
    """What must be equal for a run to be gone on with, as JSON holds it."""
    settings = json.loads(json.dumps(settings_of(recipe)))
    return {"recipe": recipe.name, "dataset": recipe.dataset, "model": recipe.model, "seed": seed, "settings": settings}


def _open_folder(folder: Path, identity: dict[str, Any], resume: bool) -> checkpoint.Checkpoint | RunResult | None:
    """The checkpoint to go on from, the result of a finished run, or None to start; RunError where it must not."""
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder} is a file; give the run a folder of its own")
    if not resume:
        if folder.is_dir() and any(folder.iterdir()):
            raise RunError(f"{folder} is not empty; choose another folder, or go on with the run in it by --resume")
        return None
    if runs.is_finished(folder):
        info, _ = runs.read_info(folder)
        _check_same(folder, {key: getattr(info, key) for key in identity}, identity)
        return RunResult(folder, info, is_first())
    if checkpoint.exists(folder / runs.CHECKPOINT_FOLDER):
        saved = checkpoint.load(folder / runs.CHECKPOINT_FOLDER)
        _check_same(folder, saved.state, {**identity, "processes": world_size()})
        return saved
    return None


def _check_same(folder: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    changed = differences(_flat(before, now), _flat(now, now))
    if changed:
        raise RunError(f"the run in {folder} was begun otherwise ({'; '.join(changed)}); resume it as it was begun")


def _check_data(folder: Path, saved: checkpoint.Checkpoint, now: Mapping[str, Any]) -> None:
    """RunError unless the data are those of the checkpoint. One that an earlier version wrote does not know them."""
    changed = data_differences(saved.state.get("data", now), now)
    if changed:
        raise RunError(
            f"the run in {folder} was begun on other data ({'; '.join(changed)}); resume it on those, or begin another"
        )


def _flat(side: Mapping[str, Any], keys: Mapping[str, Any]) -> dict[str, Any]:
    return {**{key: side.get(key) for key in keys if key != "settings"}, **side.get("settings", {})}


def _describe(
    recipe: Recipe, identity: dict[str, Any], info: DatasetInfo, trainer: Trainer, at: Position
) -> runs.RunInfo:
    last = at.history[-1]
    return runs.RunInfo(
        **identity,
        options=trainer.model_options(recipe.stages[-1]),
        class_names=info.class_names,
        input_shape=info.input_shape,
        preprocessing=info.preprocessing,
        metrics={
            "test_accuracy": last["test_accuracy"],
            "test_loss": last["test_loss"],
            "train_accuracy": last["accuracy"],
            "train_loss": last["loss"],
            "seconds": round(sum(row["seconds"] for row in at.history), 3),
        },
        versions=runs.versions(),
    )


def _random_stream_of_the_run() -> AbstractContextManager[None]:
    """Inside it torch's global generators are the run's; the caller finds them as they were."""
    return torch.random.fork_rng([torch.cuda.current_device()] if torch.cuda.is_available() else [])
