"""PyTorch checkpoints: a ``state_dict``, bare or under that key, with or without ``module.`` in front of its names.

Nothing in the file is run: ``weights_only`` refuses every pickle that asks for more than tensors and plain containers.
"""

import warnings
import zipfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch._subclasses import FakeTensorMode

from bittern.importers.errors import CheckpointError
from bittern.importers.stored import Checkpoint, Stored

ZIP_MAGIC = b"PK\x03\x04"
PICKLE_MAGIC = b"\x80"
_PARALLEL = "module."  # what DataParallel puts in front of every name


def read_torch(path: Path) -> Checkpoint:
    """The tensors of the ``state_dict`` in ``path``; a file of PyTorch 1.6 or newer stays on the disk until read.

    Raises:
        CheckpointError: the file is cut short, wants code to be run, declares more than it holds, or has no
            ``state_dict``.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, about pickles that it then refuses
        state = _read(path)
    prefix = _PARALLEL if all(name.startswith(_PARALLEL) for name in state) else ""
    return Checkpoint(
        {
            name.removeprefix(prefix): Stored(tuple(tensor.shape), partial(_identity, tensor.detach()))
            for name, tensor in state.items()
        }
    )


def _read(path: Path) -> dict[str, Tensor]:
    zipped = _check_zip(path)
    try:
        with FakeTensorMode():  # shapes and sizes, without memory for them
            declared = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a stranger's pickle leads to
        raise CheckpointError(_refusal(path, error)) from error
    storages = {s._cdata: s.nbytes() for s in (t.untyped_storage() for t in _tensors(declared))}
    if sum(storages.values()) > path.stat().st_size:
        raise CheckpointError(
            f"{path} of {path.stat().st_size} bytes declares tensors of {sum(storages.values())}: "
            "it is damaged or cut short"
        )
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except Exception as error:
        raise CheckpointError(_refusal(path, error)) from error
    return _state_dict(content, path)


def _identity(tensor: Tensor) -> Tensor:
    return tensor


def _check_zip(path: Path) -> bool:
    """Whether ``path`` is an archive of PyTorch 1.6 or newer, whose entries are stored as they are."""
    with path.open("rb") as file:
        if file.read(len(ZIP_MAGIC)) != ZIP_MAGIC:
            return False
    try:
        with zipfile.ZipFile(path) as archive:
            packed = [entry.filename for entry in archive.infolist() if entry.compress_type != zipfile.ZIP_STORED]
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged or cut short: {error}") from error
    if packed:
        raise CheckpointError(f"{path} is compressed ({packed[0]}), as torch.save writes no file: unpack it first")
    return True


def _state_dict(content: Any, path: Path) -> dict[str, Tensor]:
    """The tensors by name, out of the file itself, its ``state_dict`` or its ``model``."""
    for place in (content, *(content.get(key) for key in ("state_dict", "model") if isinstance(content, Mapping))):
        if isinstance(place, Mapping) and place and all(isinstance(v, Tensor) for v in place.values()):
            return {str(name): tensor for name, tensor in place.items()}
    raise CheckpointError(f"{path} holds no state_dict: neither itself nor its entry 'state_dict' is names and tensors")


def _tensors(value: Any) -> list[Tensor]:
    """Every tensor in nested containers, each container once."""
    found: list[Tensor] = []
    waiting, seen = [value], set[int]()
    while waiting:
        at = waiting.pop()
        if isinstance(at, Tensor):
            found.append(at)
        elif isinstance(at, Mapping | list | tuple | set) and id(at) not in seen:
            seen.add(id(at))
            waiting.extend(at.values() if isinstance(at, Mapping) else at)
    return found


def _refusal(path: Path, error: Exception) -> str:
    text = " ".join(str(error).split())
    if "weights_only" in text.lower() or "Unsupported" in text:
        cause = text[text.find("GLOBAL") :].split(".")[0] if "GLOBAL" in text else text[:200]
        return (
            f"{path} holds more than tensors, which would have to be run to be read, and so is not: {cause[:200]}. "
            "Save its state_dict alone: torch.save(model.state_dict(), FILE)"
        )
    return f"{path} is damaged, cut short or no PyTorch checkpoint: {text[:200] or type(error).__name__}"
