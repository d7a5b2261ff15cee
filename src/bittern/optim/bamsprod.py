"""``BAMSProd``, a reconstruction: AMSGrad whose gradients are held in a range that follows the quantization error."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from bittern.optim._blocks import as_filters, filter_blocks
from bittern.optim._checks import Number, check_clip
from bittern.optim._lists import average_, clip_, negated, use_foreach
from bittern.optim.base import BinaryOptimizer


def bamsprod(
    params: list[Tensor],
    grads: list[Tensor],
    exp_avgs: list[Tensor],
    exp_avg_sqs: list[Tensor],
    max_exp_avg_sqs: list[Tensor],
    errors: list[Tensor],
    steps: list[Tensor],
    *,
    lr: Number,
    beta1: Number,
    beta2: Number,
    rho: Number,
    horizon: Number,
    eps: float,
    clip: float | None,
    maximize: bool = False,
    foreach: bool | None = None,
) -> None:
    """One step of ``BAMSProd`` in place. ``errors`` [filters] hold ebar, ``steps`` the steps done before this one.

    All but ``params`` and ``steps`` are of one type.
    """
    for done in steps:
        done.add_(1)
    shares = [_share(done, horizon) for done in steps]
    tensors = (params, grads, exp_avgs, exp_avg_sqs, max_exp_avg_sqs)
    for (w, g, m, v, vmax), ebars, of_horizon in _filter_lists(tensors, errors, shares, foreach):
        if maximize:
            g = negated(g)
        average_(ebars, [quantization_error(as_filters(x)) for x in w], 1 - rho)
        average_(v, torch._foreach_mul(g, g), 1 - beta2)
        torch._foreach_maximum_(vmax, v)
        sizes = list(torch._foreach_sqrt(vmax))
        factors = [range_factor(ebar, beta2, share) for ebar, share in zip(ebars, of_horizon, strict=True)]
        bounds = [size * _per_filter(kappa, size) for size, kappa in zip(sizes, factors, strict=True)]
        average_(m, [torch.clamp(x, -bound, bound) for x, bound in zip(g, bounds, strict=True)], 1 - beta1)
        torch._foreach_add_(sizes, eps)
        _move(w, m, sizes, lr)
        if clip is not None:
            clip_(w, clip)


def _filter_lists(
    tensors: Sequence[list[Tensor]], errors: list[Tensor], shares: list[Number], foreach: bool | None
) -> Iterator[tuple[Sequence[list[Tensor]], list[Tensor], list[Number]]]:
    """As ``lists``, but in pieces of whole filters, with their errors and the share of the horizon."""
    if use_foreach(tensors[0], foreach):
        yield tensors, errors, shares
        return
    for i, rows, pieces in filter_blocks(*tensors):
        yield [[piece] for piece in pieces], [errors[i][rows]], [shares[i]]


class BAMSProd(BinaryOptimizer):
    """A reconstruction of BAMSProd from its abstract; for latent weights. Step t, filter o of n weights::

        e      = 1 - |w_o|_1^2 / (n |w_o|_2^2)                        0 if w_o = 0
        ebar   = rho ebar + (1 - rho) e                               at first e
        v      = beta2 v + (1 - beta2) g^2,     vmax = max(vmax, v)
        kappa  = (1 - beta2)^(-(1 - ebar min(1, sqrt(horizon / t))) / 2)
        ghat   = clip(g, -kappa sqrt(vmax), kappa sqrt(vmax))
        m      = beta1 m + (1 - beta1) ghat
        w      = clip(w - lr m / (sqrt(vmax) + eps), -clip, clip)

    e in [0, 1) is XNOR-Net's error min_a ||w_o - a sign(w_o)||^2, relative to ||w_o||^2. As |g| is never more than
    sqrt(vmax / (1 - beta2)), ebar = 0 makes the range inactive, which leaves AMSGrad without bias correction; ebar -> 1
    narrows it to sqrt(vmax). Two corollaries (docs/optimizers.md), which the tests check: a step moves no weight by
    more than lr times the largest kappa so far, and the constraint takes O(sqrt(T)) from the sum of the gradients, so
    that AMSGrad's regret bound survives it.

    After Liu et al. 2020, BAMSProd, arXiv:2009.13799, whose full text was not available: do not expect its results.
    AMSGrad: Reddi et al. 2018, On the Convergence of Adam and Beyond, algorithm 2. XNOR-Net: arXiv:1603.05279.

    Filters are what dimension 0 counts; a parameter of fewer than two dimensions is one filter. State: m, v, vmax, and
    ebar per filter.

    Args:
        rho: how slowly the error is followed, in [0, 1).
        horizon: steps for which the constraint is fully on, at least 0; 0 is AMSGrad.
        clip: bound of the latent weights, more than 0; None for none.
        maximize, foreach, capturable: as in ``BinaryOptimizer``.
    """

    latent_free = False
    update = staticmethod(bamsprod)
    buffers = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")
    more_state = ("error", "step")
    ranges: ClassVar[Mapping[str, str]] = {
        "lr": "[0, inf)",
        "beta1": "[0, 1)",
        "beta2": "[0, 1)",
        "rho": "[0, 1)",
        "horizon": "[0, inf)",
        "eps": "[0, inf)",
    }

    def __init__(
        self,
        params: ParamsT,
        lr: Number = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        rho: float = 0.9,
        horizon: float = 1000,
        eps: float = 1e-8,
        clip: float | None = 1.0,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
    ) -> None:
        numbers = {"lr": lr, "betas": betas, "rho": rho, "horizon": horizon, "eps": eps, "clip": clip}
        super().__init__(params, maximize=maximize, foreach=foreach, capturable=capturable, **numbers)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        check_clip({**self.defaults, **param_group}["clip"])
        super().add_param_group(param_group)

    def _first_state(self, p: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        state = super()._first_state(p, group)
        state["error"] = quantization_error(as_filters(p)).to(state["exp_avg"].dtype)
        state["step"] = torch.zeros((), device=p.device if group["capturable"] else "cpu")
        return state


def quantization_error(filters: Tensor) -> Tensor:
    """1 - |w|_1^2 / (n |w|_2^2) of each filter [filters, ...], [filters]; 0 for a filter of zeros."""
    filters = filters.to(torch.promote_types(filters.dtype, torch.float32))
    inner = tuple(range(1, filters.dim()))
    ratio: Tensor = filters.abs().sum(inner) / torch.linalg.vector_norm(filters, dim=inner)
    error: Tensor = (1 - ratio.square_() / math.prod(filters.shape[1:])).clamp_(0, 1).nan_to_num_(0)
    return error


def range_factor(error: Tensor, beta2: Number, share: Number) -> Tensor:
    """kappa of filters [filters] whose averaged errors are ``error``; ``share`` is min(1, sqrt(horizon / t))."""
    log = (1 - beta2).log() if isinstance(beta2, Tensor) else math.log1p(-beta2)
    return (error * share).sub_(1).mul_(log / 2).exp_()


def _share(step: Tensor, horizon: Number) -> Number:
    """min(1, sqrt(horizon / step)), on the device of ``step`` if that is not the CPU."""
    on_device = step.device.type != "cpu" or torch.compiler.is_compiling()
    ratio = horizon / (step if on_device else step.item())
    return ratio.sqrt().clamp_max(1) if isinstance(ratio, Tensor) else min(1.0, math.sqrt(ratio))


def _per_filter(values: Tensor, like: Tensor) -> Tensor:
    """``values`` [filters] as they broadcast over ``like``; one value stays one."""
    return values.view(-1, *[1] * (like.dim() - 1)) if like.dim() > 1 else values.view([1] * like.dim())


def _move(weights: list[Tensor], averages: list[Tensor], sizes: list[Tensor], lr: Number) -> None:
    """w <- w - lr m / size."""
    if isinstance(lr, Tensor) or any(w.dtype != m.dtype for w, m in zip(weights, averages, strict=True)):
        for w, m, size in zip(weights, averages, sizes, strict=True):
            w.sub_((m / size).mul_(lr))
    else:
        torch._foreach_addcdiv_(weights, averages, sizes, value=-lr)
