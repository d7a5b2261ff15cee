"""``BAMSProd``, a reconstruction: AMSGrad whose gradients are held in a range that follows the quantization error."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from bittern.optim._blocks import as_filters, filter_blocks
from bittern.optim._checks import Number, check_clip
from bittern.optim._lists import average_, foreach_average_, use_foreach
from bittern.optim.base import BinaryOptimizer, column


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
    narrows it to sqrt(vmax). Two corollaries (docs/optimizers.md), on which the tests insist: a step moves no weight by
    more than lr times the largest kappa so far, and the constraint takes O(sqrt(T)) from the sum of the gradients, so
    that AMSGrad's regret bound survives it.

    After Liu et al. 2020, BAMSProd, arXiv:2009.13799, whose full text was not at hand: its numbers may not be expected.
    AMSGrad: Reddi et al. 2018, On the Convergence of Adam and Beyond, algorithm 2. XNOR-Net: arXiv:1603.05279.

    Filters are what dimension 0 counts; a parameter of fewer than two dimensions is one filter. State: m, v, vmax, and
    ebar per filter.

    Args:
        rho: how slowly the error is followed, in [0, 1).
        horizon: steps for which the constraint is fully on, at least 0; 0 is AMSGrad.
        clip: bound of the latent weights, more than 0; None for none.
        foreach: list operations (None: on a GPU). capturable: a CUDA graph may hold the step.
    """

    latent_free = False
    buffers = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")
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
        beta1, beta2 = betas
        options = {"maximize": maximize, "foreach": foreach, "capturable": capturable}
        numbers = {"lr": lr, "beta1": beta1, "beta2": beta2, "rho": rho, "horizon": horizon, "eps": eps, "clip": clip}
        super().__init__(params, {**numbers, **options})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        check_clip({**self.defaults, **param_group}["clip"])
        super().add_param_group(param_group)

    def _first_state(self, p: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        state = super()._first_state(p, group)
        state["error"] = quantization_error(as_filters(p)).to(state["exp_avg"].dtype)
        state["step"] = torch.zeros((), device=p.device if group["capturable"] else "cpu")
        return state

    def _update(
        self,
        group: dict[str, Any],
        params: list[Tensor],
        grads: list[Tensor],
        states: Sequence[dict[str, Any]],
    ) -> None:
        bamsprod(
            params,
            grads,
            column(states, "exp_avg"),
            column(states, "exp_avg_sq"),
            column(states, "max_exp_avg_sq"),
            column(states, "error"),
            column(states, "step"),
            lr=group["lr"],
            beta1=group["beta1"],
            beta2=group["beta2"],
            rho=group["rho"],
            horizon=group["horizon"],
            eps=group["eps"],
            clip=group["clip"],
            maximize=group["maximize"],
            foreach=group["foreach"],
            capturable=group["capturable"],
        )


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
    capturable: bool = False,
) -> None:
    """One step of ``BAMSProd`` in place. ``errors`` [filters] hold ebar, ``steps`` the steps done before this one.

    All but ``params`` and ``steps`` are of one type.
    """
    for done in steps:
        done.add_(1)
    on_device = capturable or torch.compiler.is_compiling()
    shares = [_share(done if on_device else done.item(), horizon) for done in steps]
    step = _multi_tensor_bamsprod if use_foreach(params, foreach) else _single_tensor_bamsprod
    step(
        params,
        grads,
        exp_avgs,
        exp_avg_sqs,
        max_exp_avg_sqs,
        errors,
        shares,
        lr=lr,
        beta1=beta1,
        beta2=beta2,
        rho=rho,
        eps=eps,
        clip=clip,
        maximize=maximize,
    )


def _share(step: Number, horizon: Number) -> Number:
    """min(1, sqrt(horizon / step))."""
    ratio = horizon / step
    return ratio.sqrt().clamp_max(1) if isinstance(ratio, Tensor) else min(1.0, math.sqrt(ratio))


def _single_tensor_bamsprod(
    params: list[Tensor],
    grads: list[Tensor],
    exp_avgs: list[Tensor],
    exp_avg_sqs: list[Tensor],
    max_exp_avg_sqs: list[Tensor],
    errors: list[Tensor],
    shares: Sequence[Number],
    *,
    lr: Number,
    beta1: Number,
    beta2: Number,
    rho: Number,
    eps: float,
    clip: float | None,
    maximize: bool,
) -> None:
    for i, rows, (w, g, m, v, vmax) in filter_blocks(params, grads, exp_avgs, exp_avg_sqs, max_exp_avg_sqs):
        if maximize:
            g = -g
        ebar = errors[i][rows]
        average_(ebar, quantization_error(w), 1 - rho)
        average_(v, g * g, 1 - beta2)
        torch.maximum(vmax, v, out=vmax)
        size = vmax.sqrt()
        bound = size * _per_filter(range_factor(ebar, beta2, shares[i]), w)
        average_(m, torch.clamp(g, -bound, bound), 1 - beta1)
        _move(w, m, size.add_(eps), lr)
        if clip is not None:
            w.clamp_(-clip, clip)


def _multi_tensor_bamsprod(
    params: list[Tensor],
    grads: list[Tensor],
    exp_avgs: list[Tensor],
    exp_avg_sqs: list[Tensor],
    max_exp_avg_sqs: list[Tensor],
    errors: list[Tensor],
    shares: Sequence[Number],
    *,
    lr: Number,
    beta1: Number,
    beta2: Number,
    rho: Number,
    eps: float,
    clip: float | None,
    maximize: bool,
) -> None:
    if maximize:
        grads = list(torch._foreach_neg(grads))
    for i, rows, (w,) in filter_blocks(params):
        average_(errors[i][rows], quantization_error(w), 1 - rho)
    foreach_average_(exp_avg_sqs, torch._foreach_mul(grads, grads), 1 - beta2)
    torch._foreach_maximum_(max_exp_avg_sqs, exp_avg_sqs)
    sizes = torch._foreach_sqrt(max_exp_avg_sqs)
    factors = [range_factor(ebar, beta2, share) for ebar, share in zip(errors, shares, strict=True)]
    bounds = [size * _per_filter(kappa, size) for size, kappa in zip(sizes, factors, strict=True)]
    constrained = torch._foreach_minimum(grads, bounds)
    torch._foreach_neg_(bounds)
    torch._foreach_maximum_(constrained, bounds)
    foreach_average_(exp_avgs, constrained, 1 - beta1)
    torch._foreach_add_(sizes, eps)
    if isinstance(lr, Tensor) or any(w.dtype != m.dtype for w, m in zip(params, exp_avgs, strict=True)):
        for w, m, size in zip(params, exp_avgs, sizes, strict=True):
            _move(w, m, size, lr)
    else:
        torch._foreach_addcdiv_(params, exp_avgs, sizes, value=-lr)
    if clip is not None:
        torch._foreach_clamp_min_(params, -clip)
        torch._foreach_clamp_max_(params, clip)


def _per_filter(values: Tensor, like: Tensor) -> Tensor:
    """``values`` [filters] as they broadcast over ``like``; one value stays one."""
    return values.view(-1, *[1] * (like.dim() - 1)) if like.dim() > 1 else values.view([1] * like.dim())


def _move(w: Tensor, m: Tensor, size: Tensor, lr: Number) -> None:
    """w <- w - lr m / size."""
    if isinstance(lr, Tensor) or w.dtype != m.dtype:
        w.sub_((m / size).mul_(lr))
    else:
        w.addcdiv_(m, size, value=-lr)
