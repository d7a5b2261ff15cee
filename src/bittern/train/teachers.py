"""The network that a recipe with ``teacher=given`` learns from."""

from dataclasses import replace
from pathlib import Path

from torch import nn

from bittern.data import DatasetInfo, Preprocessing
from bittern.train.errors import RunError
from bittern.train.recipe import Recipe
from bittern.train.runs import Run, load_run


def find_teacher(recipe: Recipe, teacher: str | Path | nn.Module | None) -> Run | nn.Module | None:
    """Reads the run folder ``teacher``, if it is one.

    Raises:
        ValueError: the recipe needs a teacher and there is none, or the other way round.
        RunError: the folder cannot be read.
    """
    if teacher is None and recipe.needs_teacher:
        raise ValueError(f"recipe {recipe.name!r} learns from a teacher; give its run folder (--teacher RUN)")
    if teacher is not None and not recipe.needs_teacher:
        raise ValueError(
            f"recipe {recipe.name!r} does not use a teacher; leave it out, or add the setting teacher=given (--set)"
        )
    return load_run(teacher) if isinstance(teacher, str | Path) else teacher


def check_teacher(teacher: Run, data: DatasetInfo) -> None:
    """RunError unless the teacher was trained for the pixels and the classes of the student's data."""
    info, classes = teacher.info, data.class_names
    names = info.class_names or classes  # imported weights may have none
    other = next((pair for pair in zip(names, classes, strict=False) if pair[0] != pair[1]), ("", ""))
    for what, found, expected in (
        ("input shape", info.input_shape, data.input_shape),
        ("preprocessing", _values(info.preprocessing), _values(data.preprocessing)),
        ("number of classes", info.options.get("num_classes"), len(classes)),
        ("class", *other),
    ):
        if found != expected:
            raise RunError(
                f"the teacher in {teacher.folder} has {what} {found}, the data {expected}; they must be equal: train "
                "the teacher on the same data"
            )


def _values(rule: Preprocessing) -> Preprocessing:
    """Without the geometry: teacher and student see the same pixels in training."""
    return replace(rule, geometry=None)
