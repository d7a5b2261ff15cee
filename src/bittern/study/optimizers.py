"""The optimizers behind whatever wraps them, and what a study records of them."""

from collections.abc import Iterable
from typing import Any

from torch.optim import Optimizer


def unwrap_optimizers(optimizer: Optimizer | Iterable[Optimizer]) -> list[Optimizer]:
    """Every optimizer that steps: inside Lightning Fabric's wrapper, whose state is stale, and ``CaseOptimizer``."""
    given: list[Any] = [optimizer] if hasattr(optimizer, "param_groups") else list(optimizer)
    inner = [getattr(one, "optimizer", one) for one in given]
    return [part for one in inner for part in getattr(one, "optimizers", [one])]


def describe_optimizer(optimizer: Optimizer) -> dict[str, Any]:
    """Class, and the settings of each group."""
    groups = [
        {k: v for k, v in group.items() if k != "params" and isinstance(v, int | float | str | list | tuple)}
        for group in optimizer.param_groups
    ]
    return {"class": type(optimizer).__name__, "groups": groups}
