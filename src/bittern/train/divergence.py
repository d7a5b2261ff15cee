"""When training has diverged, and where it began: in words, for an error message."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from bittern.train.context import Context
from bittern.train.stages import ActiveStage, like_weights

_DIVERGED = 1000.0
"""A loss this many times that of guessing, ln(classes), is divergence."""


def out_of_range(loss: float, classes: int) -> bool:
    """Whether ``loss`` is not finite, or far above that of a network that guesses."""
    return not loss <= _DIVERGED * math.log(max(classes, 2))


def all_finite(tensors: Sequence[Tensor]) -> bool:
    """Whether every number of ``tensors`` is finite: their norm tells, or each of them where the norm overflows."""
    return bool(get_total_norm(tensors).isfinite()) or all(bool(t.isfinite().all()) for t in tensors)


def not_finite(tensors: Mapping[str, Tensor]) -> list[str]:
    """The names of those of ``tensors`` that hold a number that is not finite."""
    return [name for name, t in tensors.items() if t.is_floating_point() and not t.isfinite().all()]


def gradients(model: nn.Module) -> dict[str, Tensor]:
    """The gradients that ``model`` has, by the names of their parameters."""
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def describe_divergence(context: Context, stage: ActiveStage, loss: float, images: Tensor) -> tuple[str, str]:
    """What diverged in a step with ``loss`` in this process, and which layer breaks first on its ``images``.

    All processes must call it together.
    """
    with context.autocast():
        x = like_weights(context.prepare(images.to(context.ranks.device)), stage.model)
        layer = first_broken_layer(stage.model, x)
    losses = context.ranks.join([loss] if out_of_range(loss, context.classes) else [])
    if losses:
        return f"the loss is {losses[0]:.4g}", layer
    broken = list(dict.fromkeys(context.ranks.join(not_finite(gradients(stage.model)))))
    # The backward pass reaches the last parameter first.
    return f"the gradient of {broken[-1]!r} is not finite{_and_others(broken)}", layer


def broken_state(stage: ActiveStage, tensors: Mapping[str, Tensor]) -> list[str]:
    """Which weights, averages and numbers of the optimizer are not finite, of what ``state.collect`` returned."""
    names = {id(p): name for name, p in stage.model.named_parameters()}
    optimized = [names[id(p)] for group in stage.optimizer.param_groups for p in group["params"]]
    found = []
    for name in not_finite(tensors):
        group, _, rest = name.partition(".")
        if group == "optimizer":
            index, key = rest.split(".", 1)
            found.append(f"{group}.{optimized[int(index)]}.{key}")
        elif group in ("model", "average"):
            found.append(name)
    return found


@torch.no_grad()
def first_broken_layer(model: nn.Module, images: Tensor) -> str:
    """Runs ``images`` once more and says which layer breaks.

    A parameter or buffer that is not finite, which the last step must have broken, is named as well.
    """
    broken = not_finite(model.state_dict())
    found: list[str] = []

    def watch(name: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            if not found and isinstance(output, Tensor) and not output.isfinite().all():
                found.append(name)

        return hook

    leaves = [(name, m) for name, m in model.named_modules() if not next(m.children(), None)]
    hooks = [module.register_forward_hook(watch(name)) for name, module in leaves]
    try:
        model(images)
    finally:
        for hook in hooks:
            hook.remove()
    layer = f"the first output that is not finite is that of layer {found[0]!r}" if found else "every output is finite"
    return layer + (f", and {broken[0]!r} is not finite{_and_others(broken)}" if broken else "")


def _and_others(names: Sequence[str]) -> str:
    return f" (with {len(names) - 1} others)" if names[1:] else ""
