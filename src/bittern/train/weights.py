"""Weights and optimizer state on their way between stages and checkpoints: all of them, or an error."""

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from bittern._text import listed
from bittern.train.errors import RunError


def take_over(model: nn.Module, start: Mapping[str, Tensor], what: str) -> None:
    """Copies ``start`` into ``model``; RunError if a tensor would be left out on either side."""
    wrong = mismatches(model.state_dict(), start)
    if wrong:
        raise RunError(f"{what} cannot start from these weights because some would be lost: {'; '.join(wrong)}")
    model.load_state_dict(start)


def mismatches(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> list[str]:
    """What keeps ``found`` from being the ``state_dict`` that is ``expected``, in words; empty if it is."""
    shared = [name for name in expected if name in found]
    mismatched = [
        f"{name} is {found[name].dtype} {tuple(found[name].shape)}, expected {expected[name].dtype} "
        f"{tuple(expected[name].shape)}"
        for name in shared
        if (found[name].shape, found[name].dtype) != (expected[name].shape, expected[name].dtype)
    ]
    missing = [name for name in expected if name not in found]
    unexpected = [name for name in found if name not in expected]
    return [
        f"{what}: {listed(names)}"
        for what, names in (("missing", missing), ("unexpected", unexpected), ("mismatched", mismatched))
        if names
    ]


def digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of the names and the content of ``tensors``, in hex."""
    content = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        content.update(name.encode())
        content.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return content.hexdigest()


def single(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """float64 as float32, the others as they are."""
    return {name: t.float() if t.dtype == torch.float64 else t for name, t in tensors.items()}


def optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """The optimizer's state by ``<index of the parameter>.<name>``."""
    state = optimizer.state_dict()["state"]
    return {f"{index}.{name}": value for index, entry in state.items() for name, value in entry.items()}


def restore_optimizer(optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Puts back what ``optimizer_tensors`` returned; the groups' settings stay as they are."""
    parameters: list[nn.Parameter] = [p for group in optimizer.param_groups for p in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = _laid_out_like(parameters[int(index)], value)
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _laid_out_like(parameter: Tensor, value: Tensor) -> Tensor:
    """``value`` in the memory layout of ``parameter``, if they have one shape: fused steps walk both side by side."""
    if value.shape != parameter.shape or not value.dim():
        return value
    return torch.empty_like(parameter, dtype=value.dtype).copy_(value)
