"""Networks with random weights, and BatchNorm statistics of what passes through them."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from benchmarks.measure.networks.inverted_residual import efficientnet_lite0, mobilenet_v2
from benchmarks.measure.networks.resnet18 import ResNet18

RIVALS: dict[str, Callable[[], nn.Module]] = {
    "resnet-18": ResNet18,
    "mobilenet-v2": mobilenet_v2,
    "mobilenet-v2-0.75": partial(mobilenet_v2, 0.75),
    "mobilenet-v2-0.5": partial(mobilenet_v2, 0.5),
    "mobilenet-v2-0.35": partial(mobilenet_v2, 0.35),
    "efficientnet-lite0": efficientnet_lite0,
}
"""Networks that are not binary, for 224x224 images. All others are models of Bittern's registry."""


def input_shape(name: str) -> tuple[int, int, int]:
    """(C, H, W) of what the network was designed for."""
    if name in RIVALS:
        return (3, 224, 224)
    from bittern.models import get_model

    info = get_model(name)
    return (info.in_channels, info.image_size, info.image_size)


def example(name: str) -> Tensor:
    return torch.randn(1, *input_shape(name), generator=torch.Generator().manual_seed(0))


def build(name: str) -> nn.Module:
    """The network as its constructor leaves it."""
    if name in RIVALS:
        return RIVALS[name]()
    from bittern.models import create as create_of_registry

    return create_of_registry(name)


def create(name: str) -> nn.Module:
    """The network in evaluation mode, with every number random; the same in every process."""
    torch.manual_seed(0)
    return _calibrated(_randomized(build(name)), input_shape(name))


def _randomized(model: nn.Module) -> nn.Module:
    """Initial constants made to differ between channels, as after training; a tenth of BatchNorm's factors is negative.

    Otherwise thresholds would be 0 and packed tensors equal, and programs would share what trained networks cannot.
    """
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.numel() > 1 and bool((parameter == parameter.flatten()[0]).all()):
                parameter.add_(torch.randn_like(parameter), alpha=0.2)
        for norm in _norms(model):
            if norm.weight is not None:  # some have offsets alone
                norm.weight.abs_().mul_(torch.where(torch.rand_like(norm.weight) < 0.1, -1.0, 1.0))
    return model


def _calibrated(model: nn.Module, shape: tuple[int, int, int]) -> nn.Module:
    """With default statistics, activations would shrink layer by layer to denormal numbers, which are slow."""
    for norm in _norms(model):
        norm.momentum = 1.0
    with torch.no_grad():
        model.train()(torch.randn(4, *shape))
    return model.eval()


def _norms(model: nn.Module) -> list[_BatchNorm]:
    return [module for module in model.modules() if isinstance(module, _BatchNorm)]
