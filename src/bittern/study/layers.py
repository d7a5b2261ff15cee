"""What is watched: the latent weights of a network, whoever wrote its layers."""

from dataclasses import dataclass

from torch import Tensor, nn

from bittern.optim.flips import centred
from bittern.optim.groups import LATENT_WEIGHTS, declared_parameters, names_in_role


@dataclass(frozen=True)
class LatentWeight:
    """A parameter whose sign the network uses; dimension 0 counts its filters.

    ``name``: the layer's path, with the parameter's name behind it only where the layer has several. ``binarized``:
    False where the layer uses the real value for now (step 1 of two-step training). ``latent_free``: every value is
    -1 or +1, as optimizers without latent weights keep them. ``centred``: the layer takes each filter's mean off before
    the sign (``weight_transform`` of ``bittern.nn``).
    """

    name: str
    parameter: nn.Parameter
    binarized: bool
    latent_free: bool
    centred: bool = False

    @property
    def values(self) -> Tensor:
        """This process' part of the parameter, without gradient; all of it where it is not sharded."""
        return local(self.parameter.detach())

    def before_sign(self, values: Tensor) -> Tensor:
        """``values`` of the parameter, or a change of them, as they come to the sign."""
        return centred(values) if self.centred else values


def local(tensor: Tensor) -> Tensor:
    """This process' part of a tensor that is sharded over several (``torch.distributed.tensor.DTensor``)."""
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor


def unwrapped(model: nn.Module) -> nn.Module:
    """The network inside DistributedDataParallel, Lightning Fabric's module or ``torch.compile``'s."""
    while True:
        if isinstance(inner := getattr(model, "_orig_mod", None), nn.Module):
            model = inner
        elif hasattr(model, "_forward_module") or type(model).__name__ in ("DistributedDataParallel", "DataParallel"):
            model = model.get_submodule("_forward_module" if hasattr(model, "_forward_module") else "module")
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
            f"{type(model).__name__} has no binary layer to watch: no module of it has the class attribute "
            f'{LATENT_WEIGHTS}; use bittern.nn\'s layers, or give yours {LATENT_WEIGHTS} = ("weight",)'
        )
    return found


def find_latent_weights(model: nn.Module) -> list[LatentWeight]:
    """As ``latent_weights``; empty for a network without binary layers."""
    found: list[LatentWeight] = []
    for path, module, name, parameter in declared_parameters(model, LATENT_WEIGHTS):
        if any(parameter is weight.parameter for weight in found):
            continue
        label = path or type(module).__name__
        found.append(
            LatentWeight(
                label if len(names_in_role(module, LATENT_WEIGHTS)) == 1 else f"{label}.{name}",
                parameter,
                bool(getattr(module, "binarize_weight", True)),
                _only_signs(parameter),
                getattr(module, "weight_transform", "none") != "none",
            )
        )
    return found


def _only_signs(parameter: Tensor) -> bool:
    return parameter.device.type != "meta" and bool((parameter.detach().abs() == 1).all())
