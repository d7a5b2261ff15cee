"""PyTorch checkpoints: a ``state_dict``, bare or under that key, its names with or without the prefix ``module.``.

Nothing in the file is executed: ``weights_only`` refuses every pickle with more than tensors and plain containers.
"""

import logging
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch._subclasses import FakeTensorMode

from bittern.importers.errors import CheckpointError
from bittern.importers.tensor_file import LazyTensor, TensorFile

ZIP_MAGIC = b"PK\x03\x04"
PICKLE_MAGIC = b"\x80"
_PARALLEL = "module."  # DataParallel's prefix of every name


def read_torch(path: Path) -> TensorFile:
    """The tensors of the ``state_dict`` in ``path``; a file of PyTorch 1.6 or newer is mapped, not loaded.

    Raises:
        CheckpointError: the file is truncated, needs code to be executed, declares more than it holds, or has no
            ``state_dict``.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, about pickles that it then refuses
        state = _read(path)
    prefix = _PARALLEL if all(name.startswith(_PARALLEL) for name in state) else ""
    return TensorFile(
        {
            name.removeprefix(prefix): LazyTensor(tuple(tensor.shape), partial(_identity, tensor.detach()))
            for name, tensor in state.items()
        }
    )


def _read(path: Path) -> dict[str, Tensor]:
    zipped = _check_zip(path)
    try:
        with _quiet(), FakeTensorMode():  # shapes and sizes, without allocating them
            declared = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a stranger's pickle may raise any kind
        raise CheckpointError(_refusal(path, error)) from error
    _check_sizes(declared, path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except Exception as error:
        raise CheckpointError(_refusal(path, error)) from error
    state = _state_dict(content, path)
    for name, tensor in state.items():
        if tensor.device.type != "cpu":
            raise CheckpointError(
                f"{path}: {name} is on device {tensor.device}, without its numbers: save it on the CPU"
            )
    return state


def _check_sizes(declared: Any, path: Path) -> None:
    """CheckpointError unless every tensor is an ordinary one, and none has more numbers than the file."""
    size, every = path.stat().st_size, _tensors(declared)
    for tensor in every:
        if tensor.layout is not torch.strided:
            raise CheckpointError(f"{path} holds a tensor that is {tensor.layout}: save dense ones, tensor.to_dense()")
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise CheckpointError(
                f"{path} holds a tensor {tuple(tensor.shape)} that repeats its numbers (strides {tensor.stride()}): "
                "save it as tensor.contiguous()"
            )
    storages = {s._cdata: s.nbytes() for s in (tensor.untyped_storage() for tensor in every)}
    if sum(storages.values()) > size:
        raise CheckpointError(
            f"{path} of {size} bytes declares tensors of {sum(storages.values())} bytes: it is damaged or truncated"
        )
    total = sum(tensor.numel() * tensor.element_size() for tensor in _state_dict(declared, path).values())
    if total > size:
        raise CheckpointError(
            f"{path} of {size} bytes holds tensors of {total} bytes, because they share memory: save a copy of each, "
            "tensor.clone()"
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Inside, torch logs no traceback of an error that is then raised."""
    log = logging.getLogger("torch._subclasses.fake_tensor")
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before


def _identity(tensor: Tensor) -> Tensor:
    return tensor


def _check_zip(path: Path) -> bool:
    """Whether ``path`` is an archive of PyTorch 1.6 or newer; CheckpointError unless its entries are uncompressed."""
    with path.open("rb") as file:
        if file.read(len(ZIP_MAGIC)) != ZIP_MAGIC:
            return False
    try:
        with zipfile.ZipFile(path) as archive:
            packed = [entry.filename for entry in archive.infolist() if entry.compress_type != zipfile.ZIP_STORED]
    except Exception as error:  # a stranger's archive may raise any kind
        raise CheckpointError(f"{path} is damaged or truncated: {error}") from error
    if packed:
        raise CheckpointError(f"{path} is compressed ({packed[0]}), which torch.save never does: unpack it first")
    return True


def _state_dict(content: Any, path: Path) -> dict[str, Tensor]:
    """The tensors by name: the content itself, or its entry ``state_dict`` or ``model``."""
    for place in (content, *(content.get(key) for key in ("state_dict", "model") if isinstance(content, Mapping))):
        if isinstance(place, Mapping) and place and all(isinstance(v, Tensor) for v in place.values()):
            return {str(name): tensor for name, tensor in place.items()}
    raise CheckpointError(f"{path} holds no state_dict: neither it nor its entry 'state_dict' maps names to tensors")


def _tensors(value: Any) -> list[Tensor]:
    """Every tensor in nested containers, visiting each container once."""
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
            f"{path} holds more than tensors; reading it would execute code, so it is refused: {cause[:200]}. "
            "Save its state_dict alone: torch.save(model.state_dict(), FILE)"
        )
    return f"{path} is damaged, truncated or not a PyTorch checkpoint: {text[:200] or type(error).__name__}"
