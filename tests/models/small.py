"""Every model, small enough to run in a test: the options that make it so, and one summary of the full size."""

from functools import cache
from typing import Any

import torch

from bittern.export import ModelSummary, summary
from bittern.models import create, get_model, list_models

MODELS = list_models()

_RESNET: dict[str, Any] = {"image_size": 56, "widths": (32, 64), "depths": (1, 1)}
_CIFAR: dict[str, Any] = {"image_size": 16, "widths": (32, 64), "depths": (1, 1)}
_DENSENET: dict[str, Any] = {"image_size": 64, "depths": (1, 1, 1, 1)}
_ALEXNET: dict[str, Any] = {"image_size": 96, "widths": (32, 32, 64, 32, 32, 64, 64)}
_QUICKNET: dict[str, Any] = {"image_size": 32, "widths": (32, 64), "depths": (1, 1)}

SMALL: dict[str, dict[str, Any]] = {
    "bi-real-net-18": _RESNET,
    "bi-real-net-18-larq": _RESNET,
    "bi-real-net-34": _RESNET,
    "bi-real-net-cifar": _CIFAR,
    "binary-alexnet": _ALEXNET,
    "binary-densenet-28": _DENSENET,
    "binary-densenet-37": _DENSENET,
    "binary-densenet-37-dilated": _DENSENET,
    "binary-densenet-45": _DENSENET,
    "binary-resnet-e-18": _RESNET,
    "binary-resnet-e-cifar": _CIFAR,
    "binarynet": {"image_size": 18, "widths": (32, 32, 64, 64, 32, 32, 64, 64)},
    "bnext-t": {"image_size": 16, "widths": (32, 64, 64)},
    "cifar-resnet": _CIFAR,
    "digits-resnet": {},
    "digits-transformer": {"depth": 1},
    "dorefanet": {**_ALEXNET, "image_size": 76},
    "meliusnet-22": {"image_size": 16, "widths": (32,), "depths": (1, 1)},
    "quicknet": _QUICKNET,
    "quicknet-large": _QUICKNET,
    "quicknet-small": _QUICKNET,
    "react-resnet-18": _RESNET,
    "reactnet-a": {"image_size": 16, "widths": (32, 64, 64)},
    "real-to-binary": _RESNET,
    "real-to-binary-cifar": _CIFAR,
    "strong-baseline": _RESNET,
    "xnor-net": _ALEXNET,
}


def small(name: str, **options: Any) -> torch.nn.Module:
    return create(name, **{"num_classes": 10, **SMALL[name], **options})


def small_input(name: str, batch: int = 2, **options: Any) -> torch.Tensor:
    info = get_model(name)
    size = {**SMALL[name], **options}.get("image_size", info.image_size)
    return torch.randn(batch, options.get("in_channels", info.in_channels), size, size)


@cache
def full(name: str) -> torch.nn.Module:
    """The network of ``create(name)``, on the meta device."""
    with torch.device("meta"):
        return create(name)


@cache
def costs(name: str) -> ModelSummary:
    """Of the full size."""
    info = get_model(name)
    return summary(create(name), (info.in_channels, info.image_size, info.image_size))


def trained(name: str, batch: int = 2) -> tuple[torch.nn.Module, torch.Tensor]:
    """The small network as if it had been trained, in eval mode, and images.

    No BatchNorm is the identity: its statistics and every vector of parameters (scales, thresholds, slopes, biases) are
    random, and a quarter of the BatchNorms' factors negative, so that no sign, order or epsilon can be wrong unseen.
    """
    torch.manual_seed(0)
    model, x = small(name), small_input(name, batch)
    with torch.no_grad():
        for module in model.modules():
            for parameter in module.parameters(recurse=False):
                if parameter.numel() == max(parameter.shape, default=1):
                    parameter.add_(0.3 * torch.randn_like(parameter))
            if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                assert module.running_mean is not None
                assert module.running_var is not None
                module.running_mean.normal_(0, 0.3)
                module.running_var.uniform_(0.5, 3)
                if module.weight is not None:
                    module.weight.mul_(torch.where(torch.rand_like(module.weight) < 0.25, -1, 1))
    return model.eval(), x
