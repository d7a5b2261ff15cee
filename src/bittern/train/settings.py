"""The settings of a recipe by key, such as ``step1.lr`` or ``model.widths``: listed, overridden, compared."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from bittern._lookup import find
from bittern.models import get_model
from bittern.train.optimizers import keywords
from bittern.train.recipe import Recipe, Stage

_RECIPE_KEYS = (
    "dataset",
    "batch_size",
    "augmentation",
    "image_size",
    "label_smoothing",
    "mixup",
    "cutmix",
    "mixed_precision",
    "accumulate",
    "ema",
    "compile",
    "evaluate_every",
    "attention_layers",
    "teacher_attention_layers",
)
_OPTIONS = {"options": "optimizer", "binary_options": "binary_optimizer", "binary_schedules": "binary_optimizer"}
"""Fields of ``Stage`` that hold keywords, and the field that names the optimizer which knows them."""
_STAGE_KEYS = tuple(f.name for f in fields(Stage) if f.name not in ("name", "precision", *_OPTIONS))
_MODEL_PREFIX = "model."


def settings_of(recipe: Recipe) -> dict[str, Any]:
    """Every setting with its value: plain keys, ``<stage>.<key>`` and ``model.<option>``.

    Of an optimizer's keywords only those that the recipe chose; ``with_overrides`` takes the others too.
    """
    settings: dict[str, Any] = {key: getattr(recipe, key) for key in _RECIPE_KEYS}
    for stage in recipe.stages:
        settings |= {f"{stage.name}.{key}": getattr(stage, key) for key in _STAGE_KEYS}
        for field in _OPTIONS:
            settings |= {f"{stage.name}.{field}.{key}": value for key, value in getattr(stage, field).items()}
    options = _default_options(recipe.model) | dict(recipe.model_options)
    return settings | {_MODEL_PREFIX + key: value for key, value in options.items()}


def with_overrides(recipe: Recipe, overrides: Mapping[str, Any]) -> Recipe:
    """``recipe`` with other values; a value may be a string, as from a command line.

    A key of a stage without the stage's name, such as ``epochs`` or ``binary_options.gamma``, holds for every stage.
    Another optimizer starts from its own defaults.

    Raises:
        ValueError: a key is unknown, or a value is not of its type or out of its range.
    """
    stages = tuple(_renamed(stage, overrides) for stage in recipe.stages)
    recipe = replace(recipe, stages=stages)
    known = settings_of(recipe)
    for stage in reversed(stages):
        for key, default in _stage_settings(stage).items():
            known |= {key: default, f"{stage.name}.{key}": default}
    values = {key: _parse(key, value, like=find("setting", key, known)) for key, value in overrides.items()}

    def chosen(stage: Stage, key: str) -> Any:
        return next((values[k] for k in (f"{stage.name}.{key}", key) if k in values), _MISSING)

    def changed(stage: Stage) -> Stage:
        new = {key: value for key in _STAGE_KEYS if (value := chosen(stage, key)) is not _MISSING}
        for field in _OPTIONS:
            named = (key for key in _stage_settings(stage) if key.startswith(f"{field}."))
            given = {k.removeprefix(f"{field}."): v for k in named if (v := chosen(stage, k)) is not _MISSING}
            new[field] = {**getattr(stage, field), **given}
        return replace(stage, **new)

    options = {
        key.removeprefix(_MODEL_PREFIX): values.get(key, value)
        for key, value in known.items()
        if key.startswith(_MODEL_PREFIX)
    }
    plain = {key: values.get(key, getattr(recipe, key)) for key in _RECIPE_KEYS}
    return replace(recipe, stages=tuple(map(changed, stages)), model_options=options, **plain)


_MISSING = object()


def _renamed(stage: Stage, overrides: Mapping[str, Any]) -> Stage:
    """``stage`` with the optimizers of ``overrides``; one of another name leaves the old one's keywords behind."""
    changes: dict[str, Any] = {}
    for field, owner in _OPTIONS.items():
        name = overrides.get(f"{stage.name}.{owner}", overrides.get(owner, getattr(stage, owner)))
        if name != getattr(stage, owner):
            changes |= {owner: name, field: {}}
    return replace(stage, **changes)


def _stage_settings(stage: Stage) -> dict[str, Any]:
    """Everything that can be set in ``stage``, with its value or the default."""
    settings = {key: getattr(stage, key) for key in _STAGE_KEYS}
    for field, owner in _OPTIONS.items():
        optimizer = getattr(stage, owner)
        defaults = keywords(optimizer) if optimizer else {}
        if field == "options":
            defaults = {key: value for key, value in defaults.items() if key not in ("lr", "weight_decay")}
        if field == "binary_schedules":
            defaults = {key: "constant" for key, value in defaults.items() if _is_number(value)}
        settings |= {f"{field}.{key}": value for key, value in {**defaults, **getattr(stage, field)}.items()}
    return settings


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """``"key: a -> b"`` for each key whose values differ, in order."""
    keys = sorted({*before, *after})
    return [f"{key}: {before.get(key)} -> {after.get(key)}" for key in keys if before.get(key) != after.get(key)]


def _default_options(model: str) -> dict[str, Any]:
    return {key: default for key, default in get_model(model).options.items() if key != "precision"}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _parse(key: str, value: Any, like: Any) -> Any:
    """``value`` in the type of ``like``: bool, int, float, string, or a tuple of numbers written ``64,128``.

    Where ``like`` is None, a number, several or none; where it is an empty tuple, or one of names, names.
    """
    names = isinstance(like, tuple) and all(isinstance(item, str) for item in like)
    try:
        if names:
            items = value.split(",") if isinstance(value, str) else value
            return tuple(str(item).strip() for item in items if item)
        if isinstance(like, tuple):
            items = value.split(",") if isinstance(value, str) else value
            kind = float if any(isinstance(item, float) for item in like) else int
            return tuple(kind(item) for item in items)
        if isinstance(like, bool):
            return value if isinstance(value, bool) else _BOOLS[str(value).lower()]
        if like is None:
            if value is None or str(value).lower() == "none":
                return None
            items = value.split(",") if isinstance(value, str) and "," in value else value
            return tuple(map(float, items)) if isinstance(items, list | tuple) else float(items)
        if isinstance(like, int) and isinstance(value, float) and value != int(value):
            raise ValueError
        return type(like)(value)
    except (KeyError, TypeError, ValueError):
        kinds = {tuple: "numbers, such as 64,128", bool: "true or false", type(None): "numbers or none"}
        kind_text = "names, such as stem,blocks.1" if names else kinds.get(type(like), type(like).__name__)
        raise ValueError(f"setting {key!r} takes {kind_text} (now {like!r}), got {value!r}") from None


_BOOLS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
