"""What a binary convolution or linear layer does to its integer dot product before anything is stored.

Each step is optional; the order is fixed:

    v = float(dot)
    v = min(max(v, dot_min), dot_max)
    v = v * mul + add
    v = min(max(v, act_min), act_max);  v = v if v > 0 else v * act_slope
    v = v + residual
    v = v + shift_in;  v = v if v > 0 else v * shift_slope;  v = v + shift_out        (RPReLU, arXiv 2003.03488)
    outputs: float v  and / or  bit = v < threshold

Every arithmetic operation is rounded to float32 by itself (no fused multiply-add), so that two implementations agree
in every bit, floats included.
"""

from dataclasses import dataclass, fields

import torch
from torch import Tensor

MAX_DOT = 2**24
"""Largest filter depth (valid bits of one dot product): every integer up to here is a float32."""


@dataclass(frozen=True, eq=False)
class Epilogue:
    """Arguments of the epilogue. Tensors are float32 ``[O]``, except ``residual``, which has the output's shape."""

    dot_min: float | None = None
    dot_max: float | None = None
    mul: Tensor | None = None
    add: Tensor | None = None
    act_min: float | None = None
    act_max: float | None = None
    act_slope: Tensor | None = None
    residual: Tensor | None = None
    shift_in: Tensor | None = None
    shift_slope: Tensor | None = None
    shift_out: Tensor | None = None

    def __call__(self, dot: Tensor, channel_dim: int) -> Tensor:
        """Applies all steps to integers ``dot`` (any dtype that holds them); returns float32 of the same shape."""

        def per_channel(value: Tensor) -> Tensor:
            shape = [1] * dot.dim()
            shape[channel_dim] = -1
            return value.reshape(shape)

        def clamp(v: Tensor, low: float | None, high: float | None) -> Tensor:
            v = v if low is None else torch.clamp_min(v, low)
            return v if high is None else torch.clamp_max(v, high)

        def prelu(v: Tensor, slope: Tensor | None) -> Tensor:
            return v if slope is None else torch.where(v > 0, v, v * per_channel(slope))

        v = clamp(dot.to(torch.float32), self.dot_min, self.dot_max)
        v = v if self.mul is None else v * per_channel(self.mul)
        v = v if self.add is None else v + per_channel(self.add)
        v = prelu(clamp(v, self.act_min, self.act_max), self.act_slope)
        v = v if self.residual is None else v + self.residual
        v = v if self.shift_in is None else v + per_channel(self.shift_in)
        v = prelu(v, self.shift_slope)
        return v if self.shift_out is None else v + per_channel(self.shift_out)

    def check(self, out_channels: int, residual_shape: tuple[int, ...]) -> None:
        """Raises ValueError if a tensor has another dtype or shape than the operator needs."""
        for field in fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, Tensor):
                continue
            shape = residual_shape if field.name == "residual" else (out_channels,)
            if value.dtype != torch.float32 or tuple(value.shape) != shape:
                raise ValueError(f"{field.name} must be float32 {list(shape)}, got {value.dtype} {list(value.shape)}")


def _schema_type(annotation: object) -> str:
    return "float?" if annotation == (float | None) else "Tensor?"


FIELDS = tuple(field.name for field in fields(Epilogue))
SCHEMA = ", ".join(f"{_schema_type(field.type)} {field.name}=None" for field in fields(Epilogue))


def below(v: Tensor, threshold: Tensor | None, channel_dim: int) -> Tensor:
    """``v < threshold`` per channel, or ``v < 0``; NaN is not below. Returns booleans of the shape of ``v``."""
    if threshold is None:
        return v < 0
    shape = [1] * v.dim()
    shape[channel_dim] = -1
    return v < threshold.reshape(shape)
