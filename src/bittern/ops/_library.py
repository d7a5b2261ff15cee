"""Defines operators of the `bittern` namespace: a schema, a reference implementation, a fake kernel, an `.out` form."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

_LIBRARY = torch.library.Library("bittern", "FRAGMENT")


def define(
    name: str,
    arguments: str,
    reference: Callable[..., Any],
    fake: Callable[..., Any],
    *,
    outputs: int = 1,
) -> None:
    """Registers ``bittern::name(arguments) -> Tensor`` and its ``.out`` form, which ExecuTorch programs call.

    Args:
        arguments: the schema between the parentheses, e.g. ``"Tensor x, int channels"``.
        reference: the specification; runs on every device and takes no part in autograd.
        fake: returns empty tensors of the result's shape, dtype and memory layout; checks the arguments.
        outputs: number of tensors returned, 1 or 2.
    """
    names = ["out"] if outputs == 1 else [f"out{i}" for i in range(outputs)]
    aliases = [f"Tensor({letter}!)" for letter in "abcd"[:outputs]]
    plain = ", ".join(["Tensor"] * outputs)
    aliased = ", ".join(aliases)
    out_arguments = ", ".join(f"{alias} {out}" for alias, out in zip(aliases, names, strict=True))
    if outputs > 1:
        plain, aliased = f"({plain})", f"({aliased})"

    def out_form(*args: Any, **kwargs: Any) -> Any:
        outs = tuple(kwargs.pop(out) for out in names)
        results = reference(*args, **kwargs)
        for out, result in zip(outs, (results,) if outputs == 1 else results, strict=True):
            out.resize_(result.shape).copy_(result)
        return outs[0] if outputs == 1 else outs

    _LIBRARY.define(f"{name}({arguments}) -> {plain}")
    _LIBRARY.define(f"{name}.out({arguments}, *, {out_arguments}) -> {aliased}")
    _LIBRARY.impl(name, reference, "CompositeExplicitAutograd")
    _LIBRARY.impl(f"{name}.out", out_form, "CompositeExplicitAutograd")
    torch.library.register_fake(f"bittern::{name}", fake, lib=_LIBRARY)


IMAGE_FORMAT = torch.channels_last
"""The memory format of float images ``[N, C, H, W]``."""


def empty_image(like: Tensor, shape: tuple[int, ...]) -> Tensor:
    """An uninitialised float32 ``[N, C, H, W]`` tensor in the format of images, on the device of ``like``."""
    return torch.empty(shape, dtype=torch.float32, device=like.device, memory_format=IMAGE_FORMAT)
