"""Functions whose last bit no standard settles, computed as the C kernels do: the same float32 operations in order."""

import torch
from torch import Tensor

_LOG2_E, _LN2_HIGH, _LN2_LOW = 1.44269502, 0.693145752, 1.42860677e-6
_TAYLOR = (0.00138888892, 0.00833333377, 0.0416666679, 0.166666672, 0.5, 1.0, 1.0)
"""Of exp around 0, the highest power first."""


def _float32(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float32)


def exponential(x: Tensor) -> Tensor:
    """exp(x) as `exponential` in kernels/elementwise.c."""
    half = torch.where(x < 0, _float32(-0.5), _float32(0.5))
    finite = x.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0).clamp(-88.0, 89.0)
    k = torch.trunc(finite * _float32(_LOG2_E) + half)
    r = finite - k * _float32(_LN2_HIGH)
    r = r - k * _float32(_LN2_LOW)
    v = _float32(_TAYLOR[0]).expand(x.shape)
    for coefficient in _TAYLOR[1:]:
        v = v * r + _float32(coefficient)
    result = torch.where(k > 127, v * 2.0 * torch.ldexp(_float32(1.0), k - 1), v * torch.ldexp(_float32(1.0), k))
    result = torch.where(x > _float32(88.7), _float32(torch.inf), result)
    return torch.where(x.isnan(), x, torch.where(x < _float32(-87.3), _float32(0.0), result))


def sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + exp(-x))."""
    return 1.0 / (1.0 + exponential(-x))


def square_root(x: Tensor) -> Tensor:
    """As IEEE 754 rounds it: float64 has more than twice as many bits, so that rounding twice is rounding once."""
    return x.double().sqrt().float()
