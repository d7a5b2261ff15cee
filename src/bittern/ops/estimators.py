"""Gradient estimators: what replaces the derivative of ``binarize``, which is zero almost everywhere.

Estimators concern training only. All share one forward, ``torch.ops.bittern.binarize``, so an exported program does not
show which of them trained it.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from bittern._lookup import find


@dataclass(frozen=True)
class Estimator:
    """One row of the registry.

    ``backward(grad, x)`` returns dL/dx for the incoming ``grad`` = dL/d binarize(x); all three have the shape and the
    dtype of ``x``. It must not write to its arguments. If ``scheduled``, it changes during training and is called as
    ``backward(grad, x, p)``; ``p`` is a 0-dim tensor, the share of the training done, in [0, 1].
    """

    name: str
    backward: Callable[..., Tensor]
    equation: str
    source: str
    scheduled: bool = False


def _clipped(bound: float) -> Callable[[Tensor, Tensor], Tensor]:
    def backward(grad: Tensor, x: Tensor) -> Tensor:
        # Comparing in place keeps the mask in the dtype of x: one vectorised pass each, no bool tensor to convert.
        return x.abs().le_(bound).mul_(grad)

    return backward


def _approx_sign(grad: Tensor, x: Tensor) -> Tensor:
    slope = x.abs().clamp_max_(1)
    torch.sub(slope.new_tensor(2), slope, alpha=2, out=slope)
    return slope.nan_to_num_(nan=0.0).mul_(grad)


def _identity(grad: Tensor, x: Tensor) -> Tensor:
    return grad


# Below, 1 - tanh^2(u) is 4 s (1 - s) with s = sigmoid(-2|u|): faster on a CPU, and near the ends, where tanh is rounded
# to 1, every digit is right. One pass gives grad * s (1 - s). Fresh memory costs more than passes: one or two tensors.


def _times_slope_of_sigmoid(grad: Tensor, s: Tensor, out: Tensor) -> Tensor:
    """out = grad * s * (1 - s)."""
    torch.ops.aten.sigmoid_backward.grad_input(grad, s, grad_input=out)
    return out


def _swish_sign(beta: float) -> Callable[[Tensor, Tensor], Tensor]:
    def backward(grad: Tensor, x: Tensor) -> Tensor:
        # 1 / (1 + cosh v) = 2 s (1 - s) and tanh(v / 2) = 2 s - 1, with v = -b |x|.
        v = x.abs().mul_(-beta)
        s = v.sigmoid()
        slope = v.addcmul_(v, s, value=-2).add_(2)
        _times_slope_of_sigmoid(slope, s, out=slope).nan_to_num_(nan=0.0)  # infinity gave inf * 0
        return slope.mul_(2 * beta).mul_(grad)

    return backward


def _ede(grad: Tensor, x: Tensor, progress: Tensor) -> Tensor:
    t = 10 ** (2 * progress - 1)
    s = x.abs().mul_(-2 * t).sigmoid_().nan_to_num_(nan=0.0)
    return _times_slope_of_sigmoid(grad, s, out=s).mul_(4 * t.clamp_min(1))  # k t = max(1, t)


_RESTE_FLAT, _RESTE_BOUND = 0.1, 1.5


def _reste(grad: Tensor, x: Tensor, progress: Tensor) -> Tensor:
    power = 1 / (1 + 2 * progress)
    # What lies outside becomes infinite, and so its slope 0; 0 * inf is NaN.
    beyond = _RESTE_BOUND + torch.finfo(x.dtype).eps  # the next number
    slope = torch.threshold_(x.abs().neg_(), -beyond, -float("inf")).neg_()
    steep = torch.gt(slope, _RESTE_FLAT, out=torch.empty_like(slope))
    # |x|^(power - 1) as 2^(log2): a third of the time of pow.
    slope.clamp_min_(_RESTE_FLAT).log2_().mul_(power - 1).exp2_().nan_to_num_(nan=0.0)
    return slope.mul_(steep.mul_(power - 1).add_(1)).mul_(grad)  # times power where steep


ESTIMATORS: dict[str, Estimator] = {
    row.name: row
    for row in (
        Estimator(
            "ste",
            _clipped(1.0),
            "dL/dx = dL/dy * 1{|x| <= 1}",
            "Hubara et al. 2016, Binarized Neural Networks, arXiv:1602.02830, eq. 4",
        ),
        Estimator(
            "ste_1.25",
            _clipped(1.25),
            "dL/dx = dL/dy * 1{|x| <= 1.25}",
            "Bannink et al. 2021, Larq Compute Engine, arXiv:2011.09398 (QuickNet)",
        ),
        Estimator(
            "ste_1.3",
            _clipped(1.3),
            "dL/dx = dL/dy * 1{|x| <= 1.3}",
            "Bethge et al. 2019, Back to Simplicity, arXiv:1906.08637",
        ),
        Estimator(
            "ste_1.5",
            _clipped(1.5),
            "dL/dx = dL/dy * 1{|x| <= 1.5}",
            "Guo et al. 2022, BNext, arXiv:2211.12933",
        ),
        Estimator(
            "approx_sign",
            _approx_sign,
            "dL/dx = dL/dy * (2 - 2|x|) * 1{|x| <= 1}",
            "Liu et al. 2018, Bi-Real Net, arXiv:1808.00278, section 3.3",
        ),
        Estimator(
            "identity",
            _identity,
            "dL/dx = dL/dy",
            "Bengio et al. 2013, Estimating or Propagating Gradients Through Stochastic Neurons, arXiv:1308.3432",
        ),
        Estimator(
            "swish_sign",
            _swish_sign(5.0),
            "dL/dx = dL/dy * b * (2 - b x tanh(b x / 2)) / (1 + cosh(b x)), b = 5",
            "Darabi et al. 2018, BNN+, arXiv:1812.11800",
        ),
        Estimator(
            "ede",
            _ede,
            "dL/dx = dL/dy * k t (1 - tanh^2(t x)), t = 10^(2p - 1), k = max(1 / t, 1)",
            "Qin et al. 2020, IR-Net, arXiv:1909.10788",
            scheduled=True,
        ),
        Estimator(
            "reste",
            _reste,
            "dL/dx = dL/dy * (|x|^(1/o - 1) / o if |x| > 0.1 else 0.1^(1/o - 1)) * 1{|x| <= 1.5}, o = 1 + 2p",
            "Wu et al. 2023, Estimator Meets Equilibrium Perspective, arXiv:2308.06689",
            scheduled=True,
        ),
    )
}
"""Every estimator by name. In all but ``identity`` the gradient of a NaN in ``x`` is 0. ``ste_C`` and ``swish_sign_B``
are the equations of ``ste`` and ``swish_sign`` for any other clip C and slope B, such as ``ste_0.8``.
"""

_FAMILIES = {"ste": (_clipped, "<= 1", "<= {}"), "swish_sign": (_swish_sign, "b = 5", "b = {}")}
_MEMBER = re.compile(r"(ste|swish_sign)_(\d+(?:\.\d+)?)")
_members: dict[str, Estimator] = {}


def get_estimator(name: str) -> Estimator:
    """The estimator called ``name``, a row or a member of a family; ValueError with the known names if none is."""
    row = ESTIMATORS.get(name) or _members.get(name)
    return row or _make_member(name)


def _make_member(name: str) -> Estimator:
    match = _MEMBER.fullmatch(name)
    if match is None:
        return find("estimator", name, ESTIMATORS)
    family, number = match.groups()
    if float(number) == 0:
        raise ValueError(f"the number in an estimator's name must be above 0, got {name!r}")
    make, default, pattern = _FAMILIES[family]
    row = ESTIMATORS[family]
    equation = row.equation.replace(default, pattern.format(number))
    _members[name] = replace(row, name=name, backward=make(float(number)), equation=equation)
    return _members[name]


def passes_at_one(name: str) -> bool:
    """Whether at least a hundredth of the gradient passes at x = -1 and x = +1, with its sign, throughout training.

    Optimizers without latent weights hold only -1 and +1, so the estimator of their weights must pass gradients there.
    """
    row, ends = get_estimator(name), torch.tensor([-1.0, 1.0])
    schedule = [(torch.tensor(p / 4),) for p in range(5)] if row.scheduled else [()]
    return all(bool((row.backward(torch.ones(2), ends, *p) >= 0.01).all()) for p in schedule)
