"""Where a network first went wrong: tensors that are not finite, and the first layer whose output is not."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm


def all_finite(tensors: Sequence[Tensor]) -> bool:
    """Whether every number of ``tensors`` is finite, which their norm tells, and where it overflows each of them."""
    return bool(get_total_norm(tensors).isfinite()) or all(bool(t.isfinite().all()) for t in tensors)


def not_finite(tensors: Mapping[str, Tensor]) -> list[str]:
    """The names of those of ``tensors`` that hold a number that is not finite."""
    return [name for name, t in tensors.items() if t.is_floating_point() and not t.isfinite().all()]


@torch.no_grad()
def first_broken_layer(model: nn.Module, images: Tensor) -> str:
    """Runs ``images`` once more and says which layer breaks, in a phrase for an error message.

    A parameter or buffer that is not finite comes before an output: it is what the last step has spoilt.
    """
    spoilt = not_finite(model.state_dict())
    found: list[str] = []

    def look(name: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            if not found and isinstance(output, Tensor) and not output.isfinite().all():
                found.append(name)

        return hook

    leaves = [(name, m) for name, m in model.named_modules() if not next(m.children(), None)]
    hooks = [module.register_forward_hook(look(name)) for name, module in leaves]
    try:
        model(images)
    finally:
        for hook in hooks:
            hook.remove()
    layer = f"the first output that is not finite is that of layer {found[0]!r}" if found else "every output is finite"
    others = f" (with {len(spoilt) - 1} others)" if spoilt[1:] else ""
    return layer + (f", and {spoilt[0]!r} is not finite{others}" if spoilt else "")
