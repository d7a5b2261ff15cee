"""Networks for 224x224 images with random weights, and BatchNorm statistics of what passes through them."""

import torch
from torch import Tensor, nn

from benchmarks.networks.mobilenet_v2 import MobileNetV2
from benchmarks.networks.resnet18 import ResNet18


def example() -> Tensor:
    return torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))


def create(name: str) -> nn.Module:
    """ "resnet-18", "mobilenet-v2" or a model of Bittern's registry, in evaluation mode."""
    torch.manual_seed(0)
    if name == "resnet-18":
        return _calibrated(ResNet18())
    if name == "mobilenet-v2":
        return _calibrated(MobileNetV2())
    from bittern.models import create as create_of_registry

    return _calibrated(create_of_registry(name))


def _calibrated(model: nn.Module) -> nn.Module:
    """With default statistics, activations would shrink from layer to layer to denormal numbers, which are slow."""
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        model.train()(torch.randn(4, 3, 224, 224))
    return model.eval()
