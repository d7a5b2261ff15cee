"""The settings of a recipe by key, such as ``step1.lr`` or ``model.widths``: listed, and overridden."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from bittern._lookup import find
from bittern.models import get_model
from bittern.train.optimizers import keywords
from bittern.train.recipe import Recipe, Stage

_NO_SETTINGS = ("name", "stages", "model_options", "description", "source", "expected")
_RECIPE_KEYS = tuple(f.name for f in fields(Recipe) if f.name not in _NO_SETTINGS)
_OPTIONS = {"options": "optimizer", "binary_options": "binary_optimizer", "binary_schedules": "binary_optimizer"}
"""Fields of ``Stage`` that hold keywords, and the field with the name of the optimizer that takes them."""
_STAGE_KEYS = tuple(f.name for f in fields(Stage) if f.name not in ("name", "precision", *_OPTIONS))
_MODEL_PREFIX = "model."


def settings_of(recipe: Recipe) -> dict[str, Any]:
    """Every setting with its value: plain keys, ``<stage>.<key>`` and ``model.<option>``.

    Of an optimizer's keywords only those that the recipe sets; ``with_overrides`` takes the others too.
    """
    settings: dict[str, Any] = {key: getattr(recipe, key) for key in _RECIPE_KEYS}
    for stage in recipe.stages:
        settings |= {f"{stage.name}.{key}": getattr(stage, key) for key in _STAGE_KEYS}
        for field in _OPTIONS:
            settings |= {f"{stage.name}.{field}.{key}": value for key, value in getattr(stage, field).items()}
    options = _default_options(recipe.model) | dict(recipe.model_options)
    return settings | {_MODEL_PREFIX + key: value for key, value in options.items()}


def with_overrides(recipe: Recipe, overrides: Mapping[str, Any]) -> Recipe:
    """``recipe`` with other values, which may be strings, as from a command line.

    A stage's key without the stage's name, such as ``epochs`` or ``binary_options.gamma``, applies to every stage; a
    key with the name takes precedence. Another model or optimizer starts from its own defaults.

    Raises:
        ValueError: a key is unknown, or a value is not of its type or out of its range.
    """
    if overrides.get("model", recipe.model) != recipe.model:
        recipe = replace(recipe, model=overrides["model"], model_options={})
    recipe = replace(recipe, stages=tuple(_with_optimizers(stage, overrides) for stage in recipe.stages))
    known = settings_of(recipe)
    for stage in reversed(recipe.stages):
        for key, default in _stage_settings(stage).items():
            known |= {key: default, f"{stage.name}.{key}": default}
    values = {key: _parse(key, value, like=find("setting", key, known)) for key, value in overrides.items()}

    options = {
        key.removeprefix(_MODEL_PREFIX): values.get(key, value)
        for key, value in known.items()
        if key.startswith(_MODEL_PREFIX)
    }
    plain = {key: values[key] for key in _RECIPE_KEYS if key in values}
    stages = tuple(_with_values(stage, values) for stage in recipe.stages)
    return replace(recipe, stages=stages, model_options=options, **plain)


def _with_optimizers(stage: Stage, overrides: Mapping[str, Any]) -> Stage:
    """``stage`` with the optimizers of ``overrides``; a new one drops the keywords of the old."""
    changes: dict[str, Any] = {}
    for field, owner in _OPTIONS.items():
        name = overrides.get(f"{stage.name}.{owner}", overrides.get(owner, getattr(stage, owner)))
        if name != getattr(stage, owner):
            changes |= {owner: name, field: {}}
    return replace(stage, **changes)


def _with_values(stage: Stage, values: Mapping[str, Any]) -> Stage:
    new: dict[str, Any] = {field: dict(getattr(stage, field)) for field in _OPTIONS}
    for key in _stage_settings(stage):
        chosen = f"{stage.name}.{key}" if f"{stage.name}.{key}" in values else key
        if chosen in values:
            field, _, option = key.partition(".")
            if option:
                new[field][option] = values[chosen]
            else:
                new[field] = values[chosen]
    return replace(stage, **new)


def _stage_settings(stage: Stage) -> dict[str, Any]:
    """Every key of ``stage`` that can be set, with its value or default; keywords as ``<field>.<keyword>``."""
    settings = {key: getattr(stage, key) for key in _STAGE_KEYS}
    for field, owner in _OPTIONS.items():
        optimizer = getattr(stage, owner)
        defaults = keywords(optimizer) if optimizer else {}
        if field == "options":  # whose rate and decay are settings of the stage itself
            defaults = {key: value for key, value in defaults.items() if key not in ("lr", "weight_decay")}
        if field == "binary_schedules":
            defaults = {key: "constant" for key, value in defaults.items() if _is_number(value)}
        settings |= {f"{field}.{key}": value for key, value in {**defaults, **getattr(stage, field)}.items()}
    return settings


def _default_options(model: str) -> dict[str, Any]:
    return {key: default for key, default in get_model(model).options.items() if key != "precision"}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _parse(key: str, value: Any, like: Any) -> Any:
    """``value`` in the type of ``like``: bool, int, float, string, or a tuple of numbers written ``64,128``.

    If ``like`` is None: a number, several or none. If it is an empty tuple or one of names: names.
    """
    names = isinstance(like, tuple) and all(isinstance(item, str) for item in like)
    several = isinstance(value, list | tuple) or (isinstance(value, str) and "," in value)
    items = value.split(",") if isinstance(value, str) else value
    try:
        if names:
            return tuple(str(item).strip() for item in items if item)
        if isinstance(like, tuple):
            kind = float if any(isinstance(item, float) for item in like) else int
            return tuple(kind(item) for item in items)
        if isinstance(like, bool):
            return value if isinstance(value, bool) else _BOOLS[str(value).lower()]
        if like is None:
            if value is None or str(value).lower() == "none":
                return None
            return tuple(map(float, items)) if several else float(value)
        if isinstance(like, int) and isinstance(value, float) and value != int(value):
            raise ValueError
        return type(like)(value)
    except (KeyError, TypeError, ValueError):
        kinds = {tuple: "numbers, such as 64,128", bool: "true or false", type(None): "numbers or none"}
        kind_text = "names, such as stem,blocks.1" if names else kinds.get(type(like), type(like).__name__)
        raise ValueError(f"setting {key!r} takes {kind_text} (now {like!r}), got {value!r}") from None


_BOOLS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
