"""A stage's optimizer and the schedules of its hyper-parameters."""

import inspect
from itertools import product
from typing import Any

from torch import nn
from torch.optim import Optimizer

from bittern.ops.estimators import passes_at_one
from bittern.optim import (
    CaseOptimizer,
    HyperparameterScheduler,
    Schedule,
    Warmup,
    create_optimizer,
    get_optimizer,
    get_schedule,
    split_parameters,
)
from bittern.train.recipe import Stage

_MECHANICS = ("params", "foreach", "fused", "capturable", "differentiable", "maximize", "decoupled_weight_decay")
_LATENT_ONLY = ("clip", "ags", "sad")
"""Options for latent weights, switched off for all other parameters."""


def keywords(optimizer: str) -> dict[str, Any]:
    """The keywords of this optimizer that a recipe may set, with their defaults."""
    row = get_optimizer(optimizer)
    parameters = inspect.signature(row.cls).parameters.values()
    defaults = {p.name: p.default for p in parameters} | dict(row.defaults)
    return {name: value for name, value in defaults.items() if name not in _MECHANICS}


def binary_weights(model: nn.Module) -> list[nn.Parameter]:
    """The weights whose signs ``model`` reads."""
    return list(split_parameters(model).binary.values())


def learning_rate(stage: Stage, progress: float) -> float:
    """Of ``stage.optimizer`` when ``progress`` in [0, 1] of the stage is done."""
    return stage.lr * _schedule(stage)(progress)


def build_optimizer(stage: Stage, model: nn.Module) -> tuple[Optimizer, list[HyperparameterScheduler]]:
    """The optimizer of every parameter of ``model``, and the schedulers of its hyper-parameters.

    A latent-free ``stage.binary_optimizer`` rewrites the binary weights as -1 and +1.

    Raises:
        ValueError: the optimizers do not fit the stage or the network.
    """
    split = split_parameters(model)
    decayed, _ = split.decay_groups(0.0, decay_shifts=stage.decay_shifts, decay_matrices=stage.decay_matrices)
    decaying, latent = {id(p) for p in decayed["params"]}, {id(p) for p in split.binary.values()}

    def real(params: list[Any]) -> Optimizer:
        known = keywords(stage.optimizer)
        if stage.weight_decay and "weight_decay" not in known:
            raise ValueError(
                f"{stage.name}.weight_decay must be 0 for {stage.optimizer}, which has no weight decay, got "
                f"{stage.weight_decay}"
            )
        groups = []
        for is_latent, decays in product((True, False), (True, False)):
            chosen = [p for p in params if (id(p) in latent, id(p) in decaying) == (is_latent, decays)]
            decay = {"weight_decay": stage.weight_decay if decays else 0.0} if "weight_decay" in known else {}
            off = {} if is_latent else {key: None for key in _LATENT_ONLY if key in known}
            if chosen:
                groups.append({"params": chosen, **decay, **off})
        return create_optimizer(stage.optimizer, groups, **{"lr": stage.lr, **stage.options})

    if not stage.binary_optimizer:
        optimizer = real(list(split.parameters.values()))
        return optimizer, [HyperparameterScheduler(optimizer, {"lr": _schedule(stage)})]
    _check_binary(stage, model)

    def binary(params: list[Any]) -> Optimizer:
        return create_optimizer(stage.binary_optimizer, params, **stage.binary_options)

    cases = CaseOptimizer(split.parameters.items(), (lambda name, _: name in split.binary, binary), default=real)
    own = {key: get_schedule(text) for key, text in stage.binary_schedules.items()}
    if "lr" in keywords(stage.binary_optimizer):
        own["lr"] = _warmed(stage, own.get("lr", get_schedule(stage.schedule)))
    schedulers = [HyperparameterScheduler(cases.optimizers[0], own)] if own else []
    schedulers += [HyperparameterScheduler(other, {"lr": _schedule(stage)}) for other in cases.optimizers[1:]]
    return cases, schedulers


def _schedule(stage: Stage) -> Schedule:
    return _warmed(stage, get_schedule(stage.schedule))


def _warmed(stage: Stage, schedule: Schedule) -> Schedule:
    return Warmup(schedule, stage.warmup / stage.epochs) if stage.warmup else schedule


def _check_binary(stage: Stage, model: nn.Module) -> None:
    if not get_optimizer(stage.binary_optimizer).latent_free:
        return
    for name, module in model.named_modules():
        if not getattr(module, "latent_weights", ()):
            continue
        if getattr(module, "weight_transform", "none") != "none":
            raise ValueError(
                f"{stage.binary_optimizer} holds weights of -1 and +1, which weight_transform "
                f"{module.weight_transform!r} of layer {name!r} would change; use 'none'"
            )
        estimator = getattr(module, "weight_estimator", None)
        if estimator and not passes_at_one(estimator):
            raise ValueError(
                f"{stage.binary_optimizer} holds weights of -1 and +1, where weight_estimator {estimator!r} of layer "
                f"{name!r} passes no gradient; use 'ste' or 'identity'"
            )
