"""What makes a run the same run: its settings and its data must not change when it is resumed."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from bittern._fields import Fields, short
from bittern._text import short_text
from bittern.data import Dataset
from bittern.train import weights
from bittern.train.errors import RunError
from bittern.train.recipe import Recipe
from bittern.train.settings import settings_of


def run_identity(recipe: Recipe, seed: int, dataset: str, **given: Mapping[str, Tensor] | None) -> dict[str, Any]:
    """Recipe, seed and settings as JSON holds them, with a digest of each state dict in ``given``.

    ``dataset``: the name of the set, which need not be the recipe's.
    """
    settings = json.loads(json.dumps(settings_of(recipe) | {"dataset": dataset}))
    for name, tensors in given.items():
        if tensors is not None:
            settings[f"{name}.sha256"] = weights.digest(tensors)
    return {"recipe": recipe.name, "dataset": dataset, "model": recipe.model, "seed": seed, "settings": settings}


def data_identity(data: Dataset) -> dict[str, Any]:
    """Class names, and of each split the number of images and the digest of ``Source``, as JSON holds them."""
    splits = {name: {"images": len(source), "sha256": source.digest} for name, source in data.splits.items()}
    return {"class_names": list(data.info.class_names), "splits": splits}


def check_settings(folder: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """RunError unless ``before`` agrees with ``now`` on every key of ``now``, single settings included."""

    def flat(side: Mapping[str, Any]) -> dict[str, Any]:
        settings = Fields(side, "the run").mapping("settings")
        return {**{key: side.get(key) for key in now if key != "settings"}, **settings}

    changed = differences(flat(before), flat(now))
    if changed:
        raise RunError(
            f"the run in {folder} was started with different settings ({'; '.join(changed)}); resume it with those it "
            "was started with, or start a new run in another folder"
        )


def check_data(folder: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """RunError unless two of ``data_identity`` are equal."""
    try:
        changed = _data_differences(before, now) if before != now else []
    except (LookupError, TypeError):
        changed = [f"{short(before)} -> {short(now)}"]
    if changed:
        raise RunError(
            f"the run in {folder} was started with different data ({'; '.join(changed)}); resume it with the data it "
            "was started with, or start a new run in another folder"
        )


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """``"key: a -> b"`` for each key whose values differ, in order."""
    keys = sorted({*before, *after})
    return [
        f"{key}: {short_text(str(before.get(key)))} -> {short_text(str(after.get(key)))}"
        for key in keys
        if before.get(key) != after.get(key)
    ]


def _data_differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    names = before["class_names"], now["class_names"]
    found = [f"{len(names[0])} classes -> {len(names[1])}"] if len(names[0]) != len(names[1]) else []
    if not found:
        found = [f"class {a!r} -> {b!r}" for a, b in zip(*names, strict=True) if a != b][:1]
    for split, was in before["splits"].items():
        has = now["splits"][split]
        if was["images"] != has["images"]:
            found.append(f"{was['images']} {split} images -> {has['images']}")
        elif was["sha256"] != has["sha256"]:
            found.append(f"other names or labels of the {split} images")
    return found
