"""Where a network first went wrong: the layer whose output is the first that is not finite."""

from typing import Any

import torch
from torch import Tensor, nn


@torch.no_grad()
def first_broken_layer(model: nn.Module, images: Tensor) -> str:
    """Runs ``images`` once more and says which layer breaks, in a phrase for an error message.

    A parameter or buffer that is not finite comes before an output: it is what the last step has spoilt.
    """
    spoilt = [name for name, p in model.state_dict().items() if p.is_floating_point() and not p.isfinite().all()]
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
