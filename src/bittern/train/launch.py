"""``launch.json``: how a run was started, so that ``--resume RUN`` needs nothing else."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bittern._run_files import LAUNCH_FILE
from bittern.train.atomic import write_atomically
from bittern.train.errors import RunError
from bittern.train.recipe import Recipe, Stage

FORMAT = 1


@dataclass(frozen=True)
class Launch:
    """The arguments of `bittern.train.run` that resuming repeats; paths are absolute.

    Args:
        recipe: overrides included.
        data: the data folder; None for a set that needs none.
        teacher, start: run folders; None if there were none, or where an object was given instead.
        modules: that register the recipe's own model or data set, to be imported first.
        from_python: those of "data" and "teacher" that were objects, which only their owner can give again.
    """

    recipe: Recipe
    seed: int
    data: str | None = None
    teacher: str | None = None
    start: str | None = None
    modules: tuple[str, ...] = ()
    from_python: tuple[str, ...] = ()

    @staticmethod
    def of(recipe: Recipe, seed: int, data: Any, teacher: Any, start: Any, modules: Sequence[str]) -> "Launch":
        """Of the arguments of `bittern.train.run` with the same names."""

        def path(value: Any) -> str | None:
            return str(Path(value).absolute()) if isinstance(value, str | Path) else None

        given = {"data": data, "teacher": teacher}
        objects = tuple(name for name, value in given.items() if value is not None and path(value) is None)
        return Launch(recipe, seed, path(data), path(teacher), path(start), tuple(modules), objects)

    def save(self, folder: Path) -> None:
        """Writes it into the run folder; TrainingError if the disk is full or not writable."""
        content = json.dumps({"format": FORMAT, **asdict(self)}, indent=1) + "\n"
        write_atomically(folder / LAUNCH_FILE, content.encode())


def read_modules(folder: Path) -> tuple[str, ...]:
    """The modules alone, which must be imported before `read_launch` can name what they register."""
    modules = _read(folder).get("modules")
    if not isinstance(modules, list) or not all(isinstance(name, str) for name in modules):
        raise RunError(f"{folder / LAUNCH_FILE}: modules must be a list of names; name the recipe and its settings")
    return tuple(modules)


def read_launch(folder: Path) -> Launch:
    """What the run in ``folder`` was started with.

    Raises:
        RunError: the folder is no run, or the file is missing, damaged or of a newer version.
    """
    value = dict(_read(folder))
    try:
        value.pop("format")
        recipe = dict(value.pop("recipe"))
        stages = tuple(Stage(**_tuples(stage)) for stage in recipe.pop("stages"))
        return Launch(recipe=Recipe(**_tuples(recipe), stages=stages), **_tuples(value))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RunError(
            f"{folder / LAUNCH_FILE} cannot be used: {error}; name the recipe and the settings that the run was "
            "started with beside --resume"
        ) from error


def _read(folder: Path) -> Mapping[str, Any]:
    path = folder / LAUNCH_FILE
    if not folder.is_dir():
        raise RunError(f"run folder {folder} {'is a file' if folder.exists() else 'does not exist'}")
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise RunError(
            f"{folder} has no {LAUNCH_FILE}: it is no run of `bittern train`, or one of an earlier version; name the "
            "recipe and the settings that it was started with beside --resume"
        ) from None
    except ValueError as error:
        raise RunError(f"{path} is not JSON ({error}); name the recipe and its settings beside --resume") from error
    if not isinstance(value, dict) or not isinstance(value.get("format"), int) or value["format"] > FORMAT:
        raise RunError(f"{path} is not of format {FORMAT}; name the recipe and its settings beside --resume")
    return value


def _tuples(value: Mapping[str, Any]) -> dict[str, Any]:
    """JSON has no tuples, recipes no lists."""

    def tuples(item: Any) -> Any:
        if isinstance(item, list):
            return tuple(map(tuples, item))
        return {key: tuples(entry) for key, entry in item.items()} if isinstance(item, dict) else item

    return {key: tuples(item) for key, item in value.items()}
