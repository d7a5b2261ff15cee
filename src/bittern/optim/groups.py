"""The parameters of a binary network by their role, and which of them decay."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.nn.utils import parametrize

LATENT_WEIGHTS = "latent_weights"
"""Attribute of a binary layer: the names of its parameters that pass a sign."""
_SCALES_AND_THRESHOLDS = "scales_and_thresholds"


@dataclass(frozen=True)
class ParameterSplit:
    """The parameters of a network that require a gradient, by name, each in one of three roles.

    Attributes:
        parameters: all of them, in the network's order.
        binary: latent weights, whose signs the network uses.
        scales_and_thresholds: per-channel scales, shifts and slopes of binary layers and activations.
        rest: real-valued filters and matrices, normalization, biases.
    """

    parameters: dict[str, nn.Parameter]
    binary: dict[str, nn.Parameter]
    scales_and_thresholds: dict[str, nn.Parameter]
    rest: dict[str, nn.Parameter]

    def decay_groups(
        self, weight_decay: float, *, decay_shifts: bool = False, decay_matrices: bool = True
    ) -> list[dict[str, Any]]:
        """All parameters as two groups of an optimizer, what decays and what does not.

        Filters and matrices (2 dimensions or more) decay; parameters with one value per channel - BatchNorm, shifts,
        slopes, scales, biases - do not. AdamBNN's code also decays shifts, and not matrices: ``decay_shifts`` is for
        scales and thresholds whose names begin with "shift", ``decay_matrices`` for parameters of 2 dimensions.
        """

        def decays(name: str, p: nn.Parameter) -> bool:
            if name in self.scales_and_thresholds:
                return decay_shifts and name.rpartition(".")[2].startswith("shift")
            return p.dim() > 2 or (p.dim() == 2 and decay_matrices)

        decayed = {name for name, p in self.parameters.items() if decays(name, p)}
        return [
            {"params": [p for n, p in self.parameters.items() if n in decayed], "weight_decay": weight_decay},
            {"params": [p for n, p in self.parameters.items() if n not in decayed], "weight_decay": 0.0},
        ]


def split_parameters(model: nn.Module) -> ParameterSplit:
    """The parameters of ``model`` by the roles that its modules give them.

    A module lists its own parameters in the attributes ``latent_weights`` and ``scales_and_thresholds``, tuples of
    names; a parameter that is None is skipped, and one that ``torch.nn.utils.parametrize`` computes stands for its
    original. The original behind a parametrization whose ``binarizes`` is True is a latent weight, in any layer. If a
    module's ``binarize_weight`` is False, its weights are not latent. A parameter that two modules share is latent if
    one of them declares it so.
    """
    declared = declared_parameters(model, LATENT_WEIGHTS)
    latent = {id(p) for _, module, _, p in declared if getattr(module, "binarize_weight", True)}
    scales = {id(p) for _, _, _, p in declared_parameters(model, _SCALES_AND_THRESHOLDS)}
    split = ParameterSplit({}, {}, {}, {})
    for name, p in model.named_parameters():
        if p.requires_grad:
            role = split.binary if id(p) in latent else split.scales_and_thresholds if id(p) in scales else split.rest
            split.parameters[name] = role[name] = p
    return split


def declared_parameters(model: nn.Module, role: str) -> Iterator[tuple[str, nn.Module, str, nn.Parameter]]:
    """``(path, module, name, parameter)`` for each parameter to which a module of ``model`` gives ``role``.

    Raises:
        ValueError: a module lists a parameter that it does not have.
    """
    for path, module in model.named_modules():
        for name in names_in_role(module, role):
            if not hasattr(module, name):
                own = ", ".join(n for n, _ in module.named_parameters(recurse=False)) or "none"
                raise ValueError(
                    f"{role} of {type(module).__name__} ({path or 'the model itself'}) names {name!r}, "
                    f"which it does not have; its own parameters are: {own}"
                )
            if parametrize.is_parametrized(module, name):
                value = getattr(module.parametrizations[name], "original", None)
            else:
                value = getattr(module, name)
            if isinstance(value, nn.Parameter):
                yield path, module, name, value


def names_in_role(module: nn.Module, role: str) -> tuple[str, ...]:
    """The parameters of ``module`` that it, or for latent weights a parametrization of it, gives ``role``."""
    names = tuple(getattr(module, role, ()))
    if role == LATENT_WEIGHTS and parametrize.is_parametrized(module):
        for name, chain in module.parametrizations.items():  # type: ignore[operator,union-attr]
            if name not in names and any(getattr(step, "binarizes", False) for step in chain):
                names += (name,)
    return names
