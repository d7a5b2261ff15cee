"""``launch.json``: how a run was started, so that ``--resume RUN`` needs nothing else."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from bittern._fields import Fields, parse_json, short
from bittern._files import open_file
from bittern._run_files import LAUNCH_FILE
from bittern.train.atomic import write_atomically
from bittern.train.errors import RunError
from bittern.train.recipe import Recipe, Stage

FORMAT = 1
_WAY_OUT = "name the recipe and the settings that it was started with beside --resume"


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
    try:
        return _read(folder).texts("modules")
    except ValueError as error:
        raise RunError(f"{folder / LAUNCH_FILE} cannot be used: {error}; {_WAY_OUT}") from error


def read_launch(folder: Path) -> Launch:
    """What the run in ``folder`` was started with.

    Raises:
        RunError: the folder is no run, or the file is missing, damaged or of a newer version.
    """
    read = _read(folder)

    def path(key: str) -> str | None:
        return read.text(key) if read.has(key) else None

    try:
        if unknown := set(read.entries) - {"format", *(field.name for field in fields(Launch))}:
            raise ValueError(f"it has the unknown field {short(min(unknown))}")
        recipe = read.mapping("recipe")
        stages = tuple(Stage(**_tuples(stage.entries)) for stage in Fields(recipe, "recipe").objects("stages"))
        return Launch(
            recipe=Recipe(**_tuples({**recipe, "stages": []}) | {"stages": stages}),
            seed=read.integer("seed"),
            data=path("data"),
            teacher=path("teacher"),
            start=path("start"),
            modules=read.texts("modules"),
            from_python=read.texts("from_python"),
        )
    except (AttributeError, TypeError, ValueError) as error:
        raise RunError(f"{folder / LAUNCH_FILE} cannot be used: {error}; {_WAY_OUT}") from error


def _read(folder: Path) -> Fields:
    path = folder / LAUNCH_FILE
    if not folder.is_dir():
        raise RunError(f"run folder {folder} {'is a file' if folder.exists() else 'does not exist'}")
    try:
        with open_file(path) as file:
            read = parse_json(file.read(), LAUNCH_FILE)
        version = read.integer("format")
    except FileNotFoundError:
        raise RunError(
            f"{folder} has no {LAUNCH_FILE}: it is no run of `bittern train`, or one of an earlier version; {_WAY_OUT}"
        ) from None
    except (OSError, ValueError) as error:
        raise RunError(f"{path} is not of format {FORMAT} ({error}); {_WAY_OUT}") from error
    if version > FORMAT:
        raise RunError(f"{path} is not of format {FORMAT}, but {version}; {_WAY_OUT}")
    return read


def _tuples(value: Mapping[str, Any]) -> dict[str, Any]:
    """JSON has no tuples, recipes no lists."""

    def tuples(item: Any) -> Any:
        if isinstance(item, list):
            return tuple(map(tuples, item))
        return {key: tuples(entry) for key, entry in item.items()} if isinstance(item, dict) else item

    return {key: tuples(item) for key, item in value.items()}
