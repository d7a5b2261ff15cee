"""A copy of whatever is to be exported, as a module that the exporter may change."""

import copy
from typing import Any

import torch
from torch import Tensor, fx, nn

from bittern.export.errors import ExportError


class _Calls(nn.Module):
    """A method of a module, as a module."""

    def __init__(self, module: nn.Module, name: str) -> None:
        super().__init__()
        self.module = module
        self.forward = getattr(module, name)  # with its own parameters


def as_module(exported: Any) -> nn.Module:
    """``exported`` itself if it is a module; the module of an exported program, or of a method.

    Raises:
        ExportError: for a class, a function, or anything else.
    """
    if isinstance(exported, nn.Module):
        return exported
    if isinstance(exported, torch.export.ExportedProgram):
        captured: Any = exported.module(check_guards=False)
        return fx.GraphModule(captured, captured.graph)  # one that has an evaluation mode
    owner = getattr(exported, "__self__", None)
    if isinstance(owner, nn.Module):
        name = exported.__name__
        return owner if name in ("forward", "__call__", "_wrapped_call_impl") else _Calls(owner, name)
    if isinstance(exported, type):
        raise ExportError(
            f"{exported.__name__} is a class, which has no weights: export an object of it, such as "
            f"{exported.__name__}()"
        )
    name = getattr(exported, "__name__", type(exported).__name__)
    raise ExportError(f"{name} is no torch.nn.Module: put it into the forward(x) of one")


def own_copy(module: nn.Module) -> nn.Module:
    """A copy that shares no parameters or buffers; of attributes that cannot be copied, it has the originals.

    Tensors that a gradient graph hangs on, such as the weights that pruning computes, lose it.
    """
    try:
        return copy.deepcopy(module)
    except Exception:
        memo: dict[int, Any] = {}
        for each in module.modules():
            for value in vars(each).values():
                if isinstance(value, Tensor) and not value.is_leaf:
                    memo[id(value)] = value.detach().clone()
                elif not isinstance(value, (Tensor, dict)) and not _can_be_copied(value):
                    memo[id(value)] = value
        return copy.deepcopy(module, memo)


def _can_be_copied(value: Any) -> bool:
    try:
        copy.deepcopy(value)
    except Exception:
        return False
    return True
