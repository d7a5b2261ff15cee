"""Parameter groups: which parameters decay."""

from typing import Any

from torch import nn


def decay_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """The parameters that require a gradient, as the two groups of a ``torch.optim`` optimizer.

    Filters and matrices (2 dimensions or more) decay; what holds one value per channel - BatchNorm, shifts, slopes,
    scales, biases - does not.
    """
    trained = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.dim() >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.dim() < 2], "weight_decay": 0.0},
    ]
