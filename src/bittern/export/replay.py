"""Modules whose `forward` reads numbers out of their parameters, or writes into them: such is research code.

    if self.temperature < 1e-7: ...            q = w.abs().mean().item()            self.weight.data.clamp_(-1, 1)

torch.export sees no values, so it refuses these, or leaves them out. But what depends on no input is the same in every
run. So the module runs once for real, which writes into its parameters and notes the numbers that it reads; while
torch.export runs it, the same numbers are given again, and the parameters are left as they are by then.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

Read = tuple[str, Any]
"""What was called, and what it gave."""

_READS = ("item", "__bool__", "__float__", "__int__", "__index__", "is_nonzero")
_GET_DATA, _SET_DATA = Tensor.data.__get__, Tensor.data.__set__  # type: ignore[attr-defined]


class _Following(TorchFunctionMode):
    """Knows which tensors are computed from the input, by their memory."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self._module = module
        self._memory: set[int] = set()
        self._kept: list[Any] = []  # memory that is freed may be given to another tensor

    def from_input(self, x: Tensor) -> None:
        storage = x.untyped_storage()
        self._memory.add(storage._cdata)
        self._kept.append(storage)

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if _name(func) == "cuda":
            return args[0]
        args, kwargs = tree_map(_on_cpu, (args, kwargs or {}))
        tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        computed = any(x.untyped_storage()._cdata in self._memory for x in tensors)
        result = self.called(func, args, kwargs, computed)
        if computed:
            written = args[:1] if _writes(func) else ()
            for x in tree_leaves((result, written, kwargs.get("out"))):
                if isinstance(x, Tensor):
                    self.from_input(x)
        return result

    def called(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Any, computed: bool) -> Any:
        raise NotImplementedError

    def is_own(self, x: Tensor) -> bool:
        """Whether ``x`` is a parameter or buffer of the module, or a view of one."""
        own = (*self._module.parameters(), *self._module.buffers())
        return any(x is each or x.untyped_storage()._cdata == each.untyped_storage()._cdata for each in own)


class Reading(_Following):
    """Notes every number that is read out of a tensor, in order; None for one that is computed from the input."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__(module)
        self.reads: list[Read | None] = []

    def run(self, example: Sequence[Tensor]) -> Any:
        """What the module gives."""
        with torch.no_grad(), self:
            inputs = [x.clone() for x in example]
            for x in inputs:
                self.from_input(x)
            return self._module(*inputs)

    def called(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Any, computed: bool) -> Any:
        result = func(*args, **kwargs)
        if (name := _name(func)) in _READS:
            self.reads.append(None if computed else (name, result))
        return result


class Replaying(_Following):
    """Gives noted numbers again; writes into the module's own tensors are left out, as they are done."""

    def __init__(self, module: nn.Module, reads: list[Read | None]) -> None:
        super().__init__(module)
        self._reads = iter(reads)

    def called(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Any, computed: bool) -> Any:
        name = _name(func)
        if name in _READS:
            read = next(self._reads, None)
            return func(*args, **kwargs) if computed or read is None or read[0] != name else read[1]
        if func == _GET_DATA:
            return args[0].detach()  # `data` leaves the graph
        if _writes(func) and not computed and self.is_own(args[0]):
            return args[0]
        return args[0].copy_(args[1]) if func == _SET_DATA else func(*args, **kwargs)


def _on_cpu(value: Any) -> Any:
    """The CPU for another device."""
    if isinstance(value, torch.device) or (isinstance(value, str) and value.partition(":")[0] == "cuda"):
        return torch.device("cpu")
    return value


def _name(func: Callable[..., Any]) -> str:
    return getattr(func, "__name__", "")


def _writes(func: Callable[..., Any]) -> bool:
    name = _name(func)
    in_place = name.endswith("_") and not name.endswith("__")
    operator = name.startswith("__i") and name[3:-2] in _OPERATORS
    return in_place or operator or name == "__setitem__" or func == _SET_DATA


_OPERATORS = ("add", "sub", "mul", "truediv", "and", "or", "xor", "floordiv", "mod", "pow")


_SAME = 1e-4
"""Of the largest value: how far the results of two runs may lie apart."""


def replay(module: nn.Module, example: Sequence[Tensor]) -> Replaying | None:
    """Runs ``module``, which may write into its parameters. It is traced within the result.

    None if it fails, or if a second run gives something else: then it counts, or remembers.
    """
    reading = Reading(module)
    try:
        first, second = reading.run(example), Reading(module).run(example)
    except Exception:
        return None
    return Replaying(module, reading.reads) if _are_same(first, second) else None


def _are_same(first: Any, second: Any) -> bool:
    pairs = [(a, b) for a, b in zip(tree_leaves(first), tree_leaves(second), strict=True) if isinstance(a, Tensor)]
    return all(_agree(a, b) for a, b in pairs if a.numel())


def _agree(a: Tensor, b: Tensor) -> bool:
    if not a.is_floating_point():
        return torch.equal(a, b)
    return bool(((a - b).abs() <= _SAME * a.abs().max()).all())
