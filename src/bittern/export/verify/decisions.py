"""Where a network decides between values: there a rounding error may turn into a difference of any size.

Two runs of one network in PyTorch, such as its module and the graph captured of it, may round differently: other
kernels for another order of memory, attention by another algorithm. Where a sign or a comparison then comes out
otherwise although its operands agree, whatever follows in that image is no error.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from bittern.export.verify.result import MARGIN

_SIGNS = ("sign", "sgn", "signbit", "heaviside", "copysign", "gt", "ge", "lt", "le", "eq", "ne")
_STEPS = ("round", "floor", "ceil", "trunc", "floor_divide", "remainder", "fmod", "frac", "argmax", "argmin")
_DECIDE = {"bittern::binarize", *(f"aten::{name}" for name in (*_SIGNS, *_STEPS))}
"""Operators whose result jumps where their operands move a little; in-place forms have a `_` more."""


def decides(operator: Any) -> bool:
    """Whether the result of ``operator`` jumps where its operands move a little."""
    return _name(operator) in _DECIDE


def _name(operator: Any) -> str:
    return operator._schema.name.removesuffix("_") if hasattr(operator, "_schema") else ""


@dataclass(frozen=True)
class Decision:
    """A call of such an operator: its name, its tensor operands, and its result."""

    operator: str
    operands: tuple[Tensor, ...]
    result: Tensor


class _Recorder(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.made: list[Decision] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not decides(func):
            return func(*args, **(kwargs or {}))
        operands = tuple(value.clone() for value in args if isinstance(value, Tensor))
        result = func(*args, **(kwargs or {}))
        self.made.append(Decision(_name(func), operands, result))
        return result


def decisions(run: Callable[[], object]) -> list[Decision]:
    """The decisions of a computation in PyTorch, in their order."""
    recorder = _Recorder()
    with torch.no_grad(), recorder:
        run()
    return recorder.made


def turned(ours: Sequence[Decision], theirs: Sequence[Decision], count: int) -> Tensor:
    """Which of ``count`` images have a decision that came out otherwise although its operands agree: bool ``[count]``.

    None of them where the two runs decide about different things.
    """
    images = torch.zeros(count, dtype=torch.bool)
    if [(d.operator, d.result.shape) for d in ours] != [(d.operator, d.result.shape) for d in theirs]:
        return images
    for our, their in zip(ours, theirs, strict=True):
        if our.result.dim() == 0 or len(our.result) < count:
            continue  # of weights, which are the same on both sides
        different = (our.result != their.result)[:count].flatten(1).any(1) & ~images
        if not bool(different.any()):
            continue
        if not all(_agree(a, b, different) for a, b in zip(our.operands, their.operands, strict=True)):
            return images
        images |= different
    return images


def _agree(ours: Tensor, theirs: Tensor, images: Tensor) -> bool:
    """Whether two operands are equal within rounding errors, of some images if there are images."""
    if ours.shape != theirs.shape:
        return False
    largest = theirs.abs().max().clamp_min(torch.finfo(torch.float32).tiny)
    if ours.dim() > 0 and len(ours) >= len(images):
        ours, theirs = ours[: len(images)][images], theirs[: len(images)][images]
    return bool(((ours - theirs).abs() <= MARGIN * largest).all())
