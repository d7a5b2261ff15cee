"""The settings of a recipe by key, such as ``step1.lr`` or ``model.widths``: listed, overridden, compared."""

import inspect
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bittern._lookup import find
from bittern.models import get_model
from bittern.train.recipes import Recipe

_RECIPE_KEYS = ("batch_size", "augmentation", "label_smoothing", "mixed_precision", "evaluate_every")
_STAGE_KEYS = ("epochs", "lr", "weight_decay")
_MODEL_PREFIX = "model."


def settings_of(recipe: Recipe) -> dict[str, Any]:
    """Every setting that can be overridden, with its value: plain keys, ``<stage>.<key>`` and ``model.<option>``."""
    settings: dict[str, Any] = {key: getattr(recipe, key) for key in _RECIPE_KEYS}
    for stage in recipe.stages:
        settings |= {f"{stage.name}.{key}": getattr(stage, key) for key in _STAGE_KEYS}
    options = _default_options(recipe.model) | dict(recipe.model_options)
    return settings | {_MODEL_PREFIX + key: value for key, value in options.items()}


def with_overrides(recipe: Recipe, overrides: Mapping[str, Any]) -> Recipe:
    """``recipe`` with other values; a value may be a string, as from a command line.

    ``epochs``, ``lr`` and ``weight_decay`` without a stage's name hold for every stage.

    Raises:
        ValueError: a key is not in ``settings_of``, or a value is not of its type or out of its range.
    """
    settings = settings_of(recipe)
    known = settings | {key: getattr(recipe.stages[0], key) for key in _STAGE_KEYS}
    values = {key: _parse(key, value, like=find("setting", key, known)) for key, value in overrides.items()}

    def chosen(key: str, *shorter: str) -> Any:
        return next((values[k] for k in (key, *shorter) if k in values), settings[key])

    stages = tuple(
        replace(stage, **{key: chosen(f"{stage.name}.{key}", key) for key in _STAGE_KEYS}) for stage in recipe.stages
    )
    options = {key.removeprefix(_MODEL_PREFIX): chosen(key) for key in settings if key.startswith(_MODEL_PREFIX)}
    return replace(recipe, stages=stages, model_options=options, **{key: chosen(key) for key in _RECIPE_KEYS})


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """``"key: a -> b"`` for each key whose values differ, in order."""
    keys = sorted({*before, *after})
    return [f"{key}: {before.get(key)} -> {after.get(key)}" for key in keys if before.get(key) != after.get(key)]


def _default_options(model: str) -> dict[str, Any]:
    parameters = inspect.signature(get_model(model).build).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY and p.name != "precision"}


def _parse(key: str, value: Any, like: Any) -> Any:
    """``value`` in the type of ``like``: an int, a float, a string, or a tuple of integers written ``64,128``."""
    try:
        if isinstance(like, tuple):
            items = value.split(",") if isinstance(value, str) else value
            return tuple(int(item) for item in items)
        if isinstance(like, int) and isinstance(value, float) and value != int(value):
            raise ValueError
        return type(like)(value)
    except (TypeError, ValueError):
        kind = "integers, such as 64,128" if isinstance(like, tuple) else type(like).__name__
        raise ValueError(f"setting {key!r} takes {kind} (now {like!r}), got {value!r}") from None
