"""The output forms of a packed layer, made from its sum: the float result, its bits, both, and integer thresholds.

| operator | returns |
|---|---|
| NAME | v: float32, as the epilogue leaves it |
| NAME_packed | int32 ``[..., ceil(O/32)]``, bit = v < threshold with float32 [O]; None: v < 0 |
| NAME_float_packed | both |
| NAME_threshold | int32 ``[..., ceil(O/32)]``, bit = dot < threshold with int32 [O]: no float arithmetic |
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from bittern.ops import epilogue, layout
from bittern.ops._library import define, empty_image
from bittern.ops.epilogue import Epilogue, below

_EPILOGUE_ARGUMENTS = len(epilogue.FIELDS)


def define_layer(
    name: str,
    numbers: str,
    sums: Callable[..., Tensor],
    check: Callable[..., tuple[int, ...]],
    *,
    channel_dim: int,
    integers: bool,
) -> None:
    """Registers the forms of ``bittern::name(Tensor x, Tensor weight, numbers, epilogue)``.

    Args:
        numbers: the schema of the arguments between the weight and the epilogue.
        sums: ``sums(x, weight, *numbers)``: what the epilogue starts from, floats ``[N, O, H, W]`` or ``[..., O]``.
        check: called like ``sums`` and before it: returns the shape of its result, or raises ValueError if the operands
            do not fit.
        channel_dim: of the result: 1 (images, channels_last) or -1 (rows).
        integers: the sums are integers, and NAME_threshold exists.
    """
    count = numbers.count(",") + 1

    def finish(x: Tensor, weight: Tensor, args: tuple[Any, ...]) -> tuple[Tensor, Tensor | None]:
        """The float result, and the threshold of the packed one."""
        steps, threshold = _split(args[count:])
        shape = check(x, weight, *args[:count])
        steps.check(shape[channel_dim], shape)
        v = steps(sums(x, weight, *args[:count]), channel_dim)
        return (empty_image(v, shape).copy_(v) if channel_dim == 1 else v), threshold

    def pack(v: Tensor, threshold: Tensor | None) -> Tensor:
        return layout.pack_bits(below(v, threshold, channel_dim).movedim(channel_dim, -1))

    def value(x: Tensor, weight: Tensor, *args: Any) -> Tensor:
        return finish(x, weight, args)[0]

    def packed(x: Tensor, weight: Tensor, *args: Any) -> Tensor:
        return pack(*finish(x, weight, args))

    def float_packed(x: Tensor, weight: Tensor, *args: Any) -> tuple[Tensor, Tensor]:
        v, threshold = finish(x, weight, args)
        return v, pack(v, threshold)

    def threshold(x: Tensor, weight: Tensor, *args: Any) -> Tensor:
        check(x, weight, *args[:count])
        return pack(sums(x, weight, *args[:count]), args[count])

    def fake_shape(x: Tensor, weight: Tensor, args: tuple[Any, ...]) -> tuple[int, ...]:
        steps, threshold = _split(args[count:])
        shape = check(x, weight, *args[:count])
        steps.check(shape[channel_dim], shape)
        _check_threshold(threshold, shape[channel_dim], torch.float32)
        return shape

    def fake_bits(x: Tensor, shape: tuple[int, ...]) -> Tensor:
        pixels = (shape[0], *shape[2:]) if channel_dim == 1 else shape[:-1]
        return x.new_empty((*pixels, layout.words(shape[channel_dim])), dtype=torch.int32)

    def fake_floats(x: Tensor, shape: tuple[int, ...]) -> Tensor:
        return empty_image(x, shape) if channel_dim == 1 else x.new_empty(shape, dtype=torch.float32)

    def value_fake(x: Tensor, weight: Tensor, *args: Any) -> Tensor:
        return fake_floats(x, fake_shape(x, weight, args))

    def packed_fake(x: Tensor, weight: Tensor, *args: Any) -> Tensor:
        return fake_bits(x, fake_shape(x, weight, args))

    def float_packed_fake(x: Tensor, weight: Tensor, *args: Any) -> tuple[Tensor, Tensor]:
        shape = fake_shape(x, weight, args)
        return fake_floats(x, shape), fake_bits(x, shape)

    def threshold_fake(x: Tensor, weight: Tensor, *args: Any) -> Tensor:
        shape = check(x, weight, *args[:count])
        _check_threshold(args[count], shape[channel_dim], torch.int32)
        return fake_bits(x, shape)

    operands = f"Tensor x, Tensor weight, {numbers}"
    with_steps = f"{operands}, {epilogue.SCHEMA}"
    with_threshold = f"{with_steps}, Tensor? threshold=None"
    define(name, with_steps, value, value_fake)
    define(f"{name}_packed", with_threshold, packed, packed_fake)
    define(f"{name}_float_packed", with_threshold, float_packed, float_packed_fake, outputs=2)
    if integers:
        define(f"{name}_threshold", f"{operands}, Tensor threshold", threshold, threshold_fake)


def _split(args: tuple[Any, ...]) -> tuple[Epilogue, Tensor | None]:
    """Arguments behind the numbers to the epilogue and the threshold of the packed result."""
    threshold = args[_EPILOGUE_ARGUMENTS] if len(args) > _EPILOGUE_ARGUMENTS else None
    return Epilogue(*args[:_EPILOGUE_ARGUMENTS]), threshold


def _check_threshold(threshold: Tensor | None, channels: int, dtype: torch.dtype) -> None:
    if threshold is not None and (threshold.dtype != dtype or tuple(threshold.shape) != (channels,)):
        raise ValueError(f"threshold must be {dtype} [{channels}], got {threshold.dtype} {list(threshold.shape)}")
