"""``BinaryOptimizer``: the bookkeeping that the optimizers of binary weights share. Updates are pure functions."""

import inspect
from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.optimizer import ParamsT

from bittern.optim._checks import check_ranges


class BinaryOptimizer(Optimizer):
    """Gathers parameters, gradients and state of each group and hands them to ``update``.

    State is made at a parameter's first step. It is float32 for parameters of float16 and bfloat16, in which averages
    with small weights would stand still; -1 and +1 lose nothing in these types.

    If ``latent_free``, the parameters are -1 and +1 from the moment they are handed over (``binarize`` of what they
    were) and after each step. Gradients must then pass ``binarize`` at |w| = 1: use "ste" or "identity".

    Args:
        maximize: climbs instead of descending.
        foreach: list operations on whole parameters; None for what is faster, which is on a GPU.
        capturable: a CUDA graph may hold the step.
        hyperparameters: of the optimizer, by the names of ``update``; ``betas`` are ``beta1`` and ``beta2``.
    """

    latent_free: ClassVar[bool] = True
    update: ClassVar[Callable[..., None]]
    """Makes a step in place: (parameters, gradients, one list for each name in ``buffers`` and ``more_state``, then
    ``maximize``, ``foreach`` and the hyper-parameters as keywords)."""
    buffers: ClassVar[tuple[str, ...]]
    """Names of the state tensors that are as large as the parameter and start at 0."""
    more_state: ClassVar[tuple[str, ...]] = ()
    """Names of other state tensors, which ``_first_state`` makes."""
    ranges: ClassVar[Mapping[str, str]]
    """Interval of each hyper-parameter."""
    _keywords: ClassVar[tuple[str, ...]]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        parameters = inspect.signature(cls.update).parameters.values()
        cls._keywords = tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)

    def __init__(
        self, params: ParamsT, *, maximize: bool, foreach: bool | None, capturable: bool, **hyperparameters: Any
    ) -> None:
        options = {"maximize": maximize, "foreach": foreach, "capturable": capturable}
        super().__init__(params, {**_with_single_betas(hyperparameters), **options})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """As in torch. A group's ``betas`` are its ``beta1`` and ``beta2``, which may be scheduled one by one."""
        if "betas" in param_group:
            if "beta1" not in self.defaults:
                raise ValueError(f"{type(self).__name__} has no betas")
            param_group = _with_single_betas(param_group)
        check_ranges(self.ranges, {**self.defaults, **param_group})
        super().add_param_group(param_group)
        for p in self.param_groups[-1]["params"]:
            if not p.is_floating_point():
                self.param_groups.pop()
                raise ValueError(f"{type(self).__name__} needs real floating-point parameters, got one of {p.dtype}")
        if self.latent_free:
            with torch.no_grad():
                for p in self.param_groups[-1]["params"]:
                    make_binary_(p)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:  # a checkpoint of a version that had fewer options
            for key, value in self.defaults.items():
                group.setdefault(key, value)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As in torch; but state stays float32 where torch would convert it to a shorter parameter's type."""
        super().load_state_dict(state_dict)
        saved = chain.from_iterable(group["params"] for group in state_dict["param_groups"])
        params = chain.from_iterable(group["params"] for group in self.param_groups)
        for index, p in zip(saved, params, strict=True):
            for key, value in state_dict["state"].get(index, {}).items():
                if key != "step" and isinstance(value, Tensor):
                    self.state[p][key] = value.to(p.device, _state_dtype(p))

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step; returns what ``closure``, which computes the loss and the gradients anew, returned."""
        loss = None if closure is None else torch.enable_grad()(closure)()
        for group in self.param_groups:
            self._check_capture(group)
            params = [p for p in group["params"] if p.grad is not None]
            if params:
                states = [self._state_of(p, group) for p in params]
                columns = [[state[name] for state in states] for name in (*self.buffers, *self.more_state)]
                options = {name: group[name] for name in self._keywords}
                type(self).update(params, [self._gradient(p) for p in params], *columns, **options)
        return loss

    def _state_of(self, p: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        state: dict[str, Any] = self.state[p]
        if not state:
            state.update(self._first_state(p, group))
        return state

    def _first_state(self, p: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        return {name: torch.zeros_like(p, dtype=_state_dtype(p)) for name in self.buffers}

    def _gradient(self, p: Tensor) -> Tensor:
        grad = p.grad
        assert grad is not None
        if grad.layout != torch.strided or grad.is_complex():
            raise RuntimeError(
                f"{type(self).__name__} needs dense real gradients, got {grad.layout}, {grad.dtype} for a parameter of "
                f"shape {tuple(p.shape)}; make the layer's gradients dense (sparse=False)"
            )
        return grad.to(_state_dtype(p))

    def _check_capture(self, group: dict[str, Any]) -> None:
        if group["capturable"] or torch.compiler.is_compiling() or not torch.cuda.is_available():
            return
        if torch.cuda.is_current_stream_capturing():
            raise RuntimeError(
                f"a CUDA graph would keep the current hyper-parameters of {type(self).__name__} for good; pass "
                "capturable=True, and those that change as 0-dimensional tensors on the device"
            )


def _state_dtype(p: Tensor) -> torch.dtype:
    return torch.promote_types(p.dtype, torch.float32)


def make_binary_(weight: Tensor) -> None:
    """w <- -1 if w < 0 else +1, the sign that the layers apply: 0, -0.0 and NaN give +1."""
    weight.lt_(0).mul_(-2).add_(1)


def _with_single_betas(options: dict[str, Any]) -> dict[str, Any]:
    if "betas" not in options:
        return options
    beta1, beta2 = options["betas"]
    return {**{key: value for key, value in options.items() if key != "betas"}, "beta1": beta1, "beta2": beta2}
