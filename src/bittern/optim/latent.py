"""Torch's SGD and Adam, with what training latent weights adds: clipping, and OvSW's changes of the gradients."""

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Adam, Optimizer
from torch.optim.optimizer import ParamsT

from bittern.optim._checks import Number, check_clip, check_range
from bittern.optim._lists import clip_, use_foreach
from bittern.optim.ovsw import decay_silent_, scale_gradient_, track_flips_

Silence = tuple[float, float, float]
_SILENCE = {"strength": "[0, inf)", "threshold": "[0, 1]", "momentum": "[0, 1)"}


class LatentOptimizer(Optimizer):
    """The step of a torch optimizer, with the options ``clip``, ``ags`` and ``sad`` of its groups.

    Args:
        clip: bound of the parameters, w <- clip(w, -clip, clip) after each step (Courbariaux et al. 2015,
            BinaryConnect, arXiv:1511.00363); None for none.
        ags: delta of OvSW's adaptive gradient scaling (``ovsw.scale_gradient_``; 0.01 in its code); None for none.
        sad: (strength, threshold, momentum) of its silence awareness decay (``ovsw.decay_silent_``; strength 2e-5 in
            its code), which adds a state tensor, ``flip_rate``; None for none.

    They are for latent weights: turn them off in groups of other parameters.
    """

    def _take_options(self, lr: Number, clip: float | None, ags: float | None, sad: Silence | None) -> None:
        """Before torch's ``__init__``, which makes the first groups."""
        self._latent_options = {"clip": clip, "ags": ags, "sad": sad}
        _check({"lr": lr, **self._latent_options})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        self.defaults.update(self._latent_options)
        _check({**self.defaults, **param_group})
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        if group["fused"] is None and group["foreach"] is None and all(map(_suits_fused_cpu, group["params"])):
            group["fused"] = True  # torch's default on a CPU, a loop over whole layers, is several times slower

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._latent_options = {key: self.defaults.get(key) for key in ("clip", "ags", "sad")}
        for group in self.param_groups:
            for key, value in self._latent_options.items():
                group.setdefault(key, value)
            on_cpu = [p for p in group["params"] if p.device.type == "cpu"]
            if group["fused"] and not all(map(_suits_fused_cpu, on_cpu)):
                group["fused"] = None  # was chosen for other parameters

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step; ``ags`` and ``sad`` change ``grad`` in place, as gradient clipping does."""
        loss = None if closure is None else torch.enable_grad()(closure)()
        tracked = self._change_gradients()
        self._torch_step()
        for p, was_negative, momentum in tracked:
            state = self.state[p]
            if "flip_rate" not in state:  # after torch's step, which treats only an empty state as a new one
                state["flip_rate"] = torch.zeros_like(p)
            track_flips_(state["flip_rate"], was_negative, p, momentum)
        self._clip()
        return loss

    def _torch_step(self) -> None:
        # Without the wrappers of torch.optim, which would run the hooks a second time.
        inspect.unwrap(super().step)(self)

    def _change_gradients(self) -> list[tuple[Tensor, Tensor, float]]:
        """Applies AGS, then SAD; returns parameters whose flips are to be counted, where negative, and the momentum."""
        tracked = []
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                if group["fused"]:
                    self._lay_out(p)
                if group["ags"] is not None:
                    scale_gradient_(p.grad, p, group["ags"])
                if group["sad"] is not None:
                    strength, threshold, momentum = group["sad"]
                    rate = self.state[p].get("flip_rate") if p in self.state else None
                    decay_silent_(p.grad, p, rate, -strength if group["maximize"] else strength, threshold)
                    tracked.append((p, p < 0, momentum))
        return tracked

    def _lay_out(self, p: Tensor) -> None:
        """Puts gradient and state into the memory order of ``p``, which fused steps rely on."""
        if p.grad is not None and p.grad.stride() != p.stride():
            p.grad = torch.empty_like(p).copy_(p.grad)
        if p not in self.state:
            return
        state = self.state[p]
        for key, value in state.items():  # made for another layout of p, or loaded
            if isinstance(value, Tensor) and value.shape == p.shape and value.stride() != p.stride():
                state[key] = torch.empty_like(p, dtype=value.dtype).copy_(value)

    def _clip(self) -> None:
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            if group["clip"] is None or not params:
                continue
            if use_foreach(params, group["foreach"]):
                clip_(params, group["clip"])
            else:
                for p in params:
                    p.clamp_(-group["clip"], group["clip"])


def _check(group: dict[str, Any]) -> None:
    check_range("lr", group["lr"], "[0, inf)")
    check_clip(group["clip"])
    if group["ags"] is not None:
        check_range("ags", group["ags"], "(0, inf)")
    if group["sad"] is not None:
        if not isinstance(group["sad"], tuple | list) or len(group["sad"]) != len(_SILENCE):
            raise ValueError(f"sad must be ({', '.join(_SILENCE)}) or None, got {group['sad']!r}")
        for (name, interval), value in zip(_SILENCE.items(), group["sad"], strict=True):
            check_range(f"{name} of sad", value, interval)


def _suits_fused_cpu(p: Tensor) -> bool:
    """Whether the state that torch makes for ``p`` has its memory order, which fused steps rely on."""
    if p.device.type != "cpu" or not p.is_floating_point() or type(p) not in (Tensor, torch.nn.Parameter):
        return False
    return torch.empty_like(p, device="meta").stride() == p.stride()


class LatentSGD(LatentOptimizer, SGD):
    """``torch.optim.SGD`` on latent weights, whose signs a network reads::

        m <- momentum m + g + weight_decay w          w <- clip(w - lr m, -clip, clip)

    State: m, if momentum is not 0. The arguments are torch's and those of ``LatentOptimizer``.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: Number = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        clip: float | None = None,
        ags: float | None = None,
        sad: Silence | None = None,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
    ) -> None:
        self._take_options(lr, clip, ags, sad)
        options = {"maximize": maximize, "foreach": foreach, "fused": fused}
        SGD.__init__(self, params, lr, momentum, dampening, weight_decay, nesterov, **options)  # type: ignore[arg-type]
        self._step_supports_amp_scaling = False


class LatentAdam(LatentOptimizer, Adam):
    """``torch.optim.Adam`` on latent weights, whose signs a network reads::

        m <- beta1 m + (1 - beta1) g,   v <- beta2 v + (1 - beta2) g^2      g includes weight_decay w
        w <- clip(w - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps), -clip, clip)

    With ``amsgrad`` the largest v so far takes v's place. State: m, v, and that. The arguments are torch's and those of
    ``LatentOptimizer``. Kingma and Ba 2015, arXiv:1412.6980; Reddi et al. 2018, On the Convergence of Adam and Beyond;
    for binary networks Liu et al. 2021, AdamBNN, arXiv:2106.11309.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: Number = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        clip: float | None = None,
        ags: float | None = None,
        sad: Silence | None = None,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        fused: bool | None = None,
    ) -> None:
        self._take_options(lr, clip, ags, sad)
        options = {"maximize": maximize, "foreach": foreach, "capturable": capturable, "fused": fused}
        Adam.__init__(self, params, lr, betas, eps, weight_decay, amsgrad, **options)  # type: ignore[arg-type]
        self._step_supports_amp_scaling = False
