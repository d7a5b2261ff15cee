"""Intercepts what enters the signs of a network while it trains, without changing the network."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

Visitor = Callable[[str, nn.Module, Tensor], None]
"""Called as ``visitor(site, module, x)``: ``x`` is about to pass ``bittern::binarize`` inside ``module``."""


class Interception:
    """Between ``open`` and ``close``, calls ``visitor`` for each activation that is binarized while ``model`` trains.

    A site is the path of the innermost module that runs, such as ``"layer3.conv1"``; its second sign in one call is
    ``"layer3.conv1#2"``. Signs of weights are not activations, not even of weights that are standardized first:
    whatever is computed from parameters and buffers alone is skipped, and so are passes in eval mode or without
    gradients.
    """

    def __init__(self, model: nn.Module, visitor: Visitor) -> None:
        self._model = model
        self._visitor = visitor
        self._handles: list[Any] = []
        self._mode: _Mode | None = None

    def open(self) -> None:
        if self._handles:
            return
        root = self._model
        self._handles.append(root.register_forward_pre_hook(self._begin))
        self._handles.append(root.register_forward_hook(self._end, always_call=True))
        for path, module in root.named_modules():
            if module is not root:
                self._handles.append(module.register_forward_pre_hook(partial(self._enter, path)))
                self._handles.append(module.register_forward_hook(self._leave, always_call=True))

    def close(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = []
        self._stop()

    def _enter(self, path: str, module: nn.Module, inputs: Any) -> None:
        if self._mode is not None:
            self._mode.running.append(_Call(path, module))

    def _leave(self, module: nn.Module, inputs: Any, output: Any) -> None:
        if self._mode is not None and len(self._mode.running) > 1:
            self._mode.running.pop()

    def _begin(self, module: nn.Module, inputs: Any) -> None:
        if self._mode is None and module.training and torch.is_grad_enabled():
            self._mode = _Mode(module, self._visitor)
            self._mode.__enter__()  # type: ignore[no-untyped-call]

    def _end(self, module: nn.Module, inputs: Any, output: Any) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._mode is not None:
            self._mode.__exit__(None, None, None)  # type: ignore[no-untyped-call]
            self._mode = None


def can_intercept(model: nn.Module) -> bool:
    """Not if ``model``, or a part of it, is compiled: hooks that come and go would recompile it again and again."""
    parts = model.modules()
    return not any(hasattr(part, "_orig_mod") or getattr(part, "_compiled_call_impl", None) for part in parts)


@dataclass
class _Call:
    """A running module; ``signs``: how many activations it has binarized so far."""

    path: str
    module: nn.Module
    signs: int = 0


class _Mode(TorchDispatchMode):
    def __init__(self, root: nn.Module, visitor: Visitor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.running = [_Call(type(root).__name__, root)]
        self._visitor = visitor
        self._constant = {_storage(t) for t in (*root.parameters(), *root.buffers())}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        sources = [tensor for argument in args for tensor in _tensors(argument)]
        constant = bool(sources) and all(_storage(tensor) in self._constant for tensor in sources)
        if func is torch.ops.bittern.binarize.default and not constant:
            call = self.running[-1]
            call.signs += 1
            self._visitor(call.path if call.signs == 1 else f"{call.path}#{call.signs}", call.module, args[0])
        result = func(*args, **(kwargs or {}))
        for tensor in _tensors(result):  # freed memory is reused
            (self._constant.add if constant else self._constant.discard)(_storage(tensor))
        return result


def _tensors(argument: Any) -> list[Tensor]:
    if isinstance(argument, Tensor):
        return [argument]
    return [item for item in argument if isinstance(item, Tensor)] if isinstance(argument, list | tuple) else []


def _storage(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)
