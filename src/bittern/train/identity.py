"""What tells one data set from another, so that a run goes on with the images that it was begun with."""

from collections.abc import Mapping
from typing import Any

from bittern.data import Dataset


def data_identity(data: Dataset) -> dict[str, Any]:
    """Class names, and of each split the number of images and the digest of ``Source``, as JSON holds them."""
    splits = {name: {"images": len(source), "sha256": source.digest} for name, source in data.splits.items()}
    return {"class_names": list(data.info.class_names), "splits": splits}


def data_differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between two of ``data_identity``, in words; empty if nothing does."""
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
