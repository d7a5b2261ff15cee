"""Keras' ``.h5`` weights, read with h5py: names and shapes at once, numbers on request.

Nothing in the file is trusted. Only datasets stored in the file itself are read, contiguous and uncompressed as Keras
writes them, so that no more memory is allocated than the file fills and no other file is opened.
"""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from torch import Tensor

from bittern.importers.errors import CheckpointError
from bittern.importers.tensor_file import LazyTensor, TensorFile

_ROOM = 2**28
_CONFIG = "model_config"
_MAX_CONFIG = 2**24
_WEIGHTS = "model_weights"  # the group of a saved model that has the layout of a weights file


def read_keras(path: Path) -> TensorFile:
    """Names and shapes; ``LazyTensor.read`` reads the numbers later, from the file, which must not change.

    Raises:
        CheckpointError: the file is truncated, damaged, not a weights file of Keras 2, or declares more than it holds.
    """
    try:
        with _little_memory(), h5py.File(path, "r") as file:
            return _checkpoint(file, path)
    except CheckpointError:
        raise
    except Exception as error:  # h5py raises any kind for a damaged file
        raise CheckpointError(f"{path} is damaged or truncated: {error}") from error


@contextmanager
def _little_memory() -> Iterator[None]:
    """Limits the growth of the process to ``_ROOM`` bytes: HDF5 allocates the length that a string declares, up to
    4 GB, before it looks for the string."""
    limits = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    room = pages * resource.getpagesize() + _ROOM
    soft = room if limits[0] == resource.RLIM_INFINITY else min(room, limits[0])
    resource.setrlimit(resource.RLIMIT_AS, (soft, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


def _checkpoint(file: Any, path: Path) -> TensorFile:
    group = file.get(_WEIGHTS, file)
    prefix = "" if group is file else f"{_WEIGHTS}/"
    if not _has(group.attrs, "layer_names"):
        keras3 = " (it looks like Keras 3; save it with Keras 2, TF_USE_LEGACY_KERAS=1)" if "layers" in group else ""
        raise CheckpointError(f"{path} has no list of layers: it is not a weights file of Keras 2{keras3}")
    tensors: dict[str, LazyTensor] = {}
    layers: list[tuple[str, tuple[str, ...]]] = []
    for layer in _names(group.attrs, "layer_names", path):
        inside = group[_own(group, layer, path)]
        weights: list[str] = []
        names = list(_names(inside.attrs, "weight_names", path))
        for name, short in zip(names, _short(names), strict=True):
            where = f"{layer}/{short}"
            if where in tensors:
                raise CheckpointError(f"{path} has {where} twice")
            shape = _checked(inside, name, path)
            tensors[where] = LazyTensor(shape, _Reader(path, f"{prefix}{layer}/{name}"))
            weights.append(short)
        layers.append((layer, tuple(weights)))
    return TensorFile(tensors, tuple(layers), _config(file, path))


def _short(names: list[str]) -> list[str]:
    """Names within their layer; those of a nested model, whose layers have some in common, with their own layer's."""
    parts = [name.removesuffix(":0").split("/") for name in names]
    short, long = ["/".join(part[-1:]) for part in parts], ["/".join(part[-2:]) for part in parts]
    return long if len(set(short)) < len(set(long)) else short


def _config(file: Any, path: Path) -> str | None:
    """The description of the network, if the file has it: one text of a length that the file can hold."""
    if _CONFIG not in file.attrs:
        return None
    attribute = file.attrs.get_id(_CONFIG)
    if prod(attribute.shape) != 1 or attribute.dtype.kind not in "SO":
        raise CheckpointError(f"{path}: {_CONFIG} is not a text, as Keras writes it")
    value = file.attrs[_CONFIG]
    text = value.decode() if isinstance(value, bytes) else str(value)
    if len(text) > min(_MAX_CONFIG, path.stat().st_size):
        raise CheckpointError(f"{path}: {_CONFIG} has {len(text)} characters, more than the file or {_MAX_CONFIG}")
    return text


class _Reader:
    """Reads one dataset, whose size ``_checked`` has verified."""

    def __init__(self, path: Path, name: str) -> None:
        self._path, self._name = path, name

    def __call__(self) -> Tensor:
        try:
            with h5py.File(self._path, "r") as file:
                return torch.from_numpy(np.asarray(file[self._name][()]))
        except Exception as error:
            raise CheckpointError(f"{self._path}: {self._name} cannot be read: {error}") from error


def _checked(group: Any, name: str, path: Path) -> tuple[int, ...]:
    """The shape of dataset ``name``, after checking that the file holds all of it."""
    dataset = group[_own(group, name, path)]
    if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind != "f":
        raise CheckpointError(f"{path}: {dataset.name} is not an array of floats")
    declared, held = dataset.size * dataset.dtype.itemsize, dataset.id.get_storage_size()
    if dataset.chunks is not None or dataset.is_virtual or dataset.external or declared != held:
        raise CheckpointError(
            f"{path}: {dataset.name} declares {declared} bytes, of which the file holds {held} contiguous and "
            "uncompressed; Keras' save_weights writes all of them so"
        )
    if declared > path.stat().st_size:
        raise CheckpointError(f"{path} of {path.stat().st_size} bytes declares {declared} for {dataset.name} alone")
    return tuple(dataset.shape)


def _own(group: Any, name: str, path: Path) -> str:
    """``name``, after checking that it leads to something in this file."""
    at = group
    for part in name.split("/"):
        link = at.get(part, getlink=True) if isinstance(at, h5py.Group) else None
        if not isinstance(link, h5py.HardLink):
            raise CheckpointError(f"{path} lacks {group.name.rstrip('/')}/{name}, or has a link to another file there")
        at = at[part]
    return name


def _has(attributes: Any, name: str) -> bool:
    return name in attributes or f"{name}0" in attributes


def _names(attributes: Any, name: str, path: Path) -> Iterator[str]:
    """A list of names; Keras splits one that is too long for an attribute into ``name0``, ``name1`` ..."""
    keys = (
        [name] if name in attributes else [f"{name}{i}" for i in range(len(attributes)) if f"{name}{i}" in attributes]
    )
    for key in keys:
        attribute = attributes.get_id(key)
        size = prod(attribute.shape)
        if size == 0:  # of a layer without weights
            continue
        if attribute.dtype.kind not in "SO" or size * attribute.dtype.itemsize > path.stat().st_size:
            raise CheckpointError(f"{path}: {key} is not a list of names as Keras writes it, or longer than the file")
        for text in np.atleast_1d(attributes[key]):
            yield text.decode() if isinstance(text, bytes) else str(text)
