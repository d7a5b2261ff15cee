"""What is watched: the latent weights of a network, whoever wrote its layers."""

from dataclasses import dataclass

from torch import Tensor, nn

from bittern.optim.flips import centred, centres_weights
from bittern.optim.groups import LATENT_WEIGHTS, declared_parameters, names_in_role


@dataclass(frozen=True)
class LatentWeight:
    """A parameter whose sign the network uses; dimension 0 counts its filters.

    Attributes:
        name: the layer's path, followed by the parameter's name only where the layer has several.
        binarized: False where the layer uses the real value for now (step 1 of two-step training).
        latent_free: every value is -1 or +1, as optimizers without latent weights keep them.
        centred: the layer subtracts each filter's mean before the sign.
    """

    name: str
    parameter: nn.Parameter
    binarized: bool
    latent_free: bool
    centred: bool = False

    @property
    def values(self) -> Tensor:
        """The parameter, without gradient."""
        return self.parameter.detach()

    def before_sign(self, values: Tensor) -> Tensor:
        """``values`` of the parameter, or a change of them, as they reach the sign."""
        return centred(values) if self.centred else values


def unwrap(model: nn.Module) -> nn.Module:
    """The network inside DistributedDataParallel, Lightning Fabric's module or ``torch.compile``'s."""
    while True:
        if isinstance(inner := getattr(model, "_orig_mod", None), nn.Module):
            model = inner
        elif hasattr(model, "_forward_module"):
            model = model.get_submodule("_forward_module")
        elif type(model).__name__ in ("DistributedDataParallel", "DataParallel"):
            model = model.get_submodule("module")
        else:
            return model


def latent_weights(model: nn.Module) -> list[LatentWeight]:
    """In the order of the model's modules; a parameter that several layers share is listed once.

    Raises:
        ValueError: no module declares any.
    """
    found = find_latent_weights(model)
    if not found:
        raise ValueError(
            f"{type(model).__name__} has no binary layer to watch: none of its modules has the class attribute "
            f'{LATENT_WEIGHTS}; use the layers of bittern.nn, or give yours {LATENT_WEIGHTS} = ("weight",)'
        )
    return found


def find_latent_weights(model: nn.Module) -> list[LatentWeight]:
    """As ``latent_weights``; empty for a network without binary layers."""
    found: dict[int, LatentWeight] = {}
    for path, module, name, parameter in declared_parameters(model, LATENT_WEIGHTS):
        label = path or type(module).__name__
        weight = LatentWeight(
            label if len(names_in_role(module, LATENT_WEIGHTS)) == 1 else f"{label}.{name}",
            parameter,
            binarized=bool(getattr(module, "binarize_weight", True)),
            latent_free=_only_signs(parameter),
            centred=centres_weights(module),
        )
        found.setdefault(id(parameter), weight)
    return list(found.values())


def _only_signs(parameter: Tensor) -> bool:
    return parameter.device.type != "meta" and bool((parameter.detach().abs() == 1).all())
