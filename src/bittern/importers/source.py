"""A source of checkpoints: the model that its file is of, read off names and shapes, and where each tensor goes."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from bittern.data import Preprocessing
from bittern.importers.slots import Match
from bittern.importers.stored import Checkpoint
from bittern.models import create, get_model

Options = dict[str, Any]
"""Keywords of ``bittern.models.create``."""

IMAGENET_PIXELS = Preprocessing(1 / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""What Larq Zoo and the authors' PyTorch code alike do with pixels."""

CHANNELS = 3
"""All known checkpoints are of RGB images."""


@dataclass(frozen=True)
class Source:
    """One row: files of ``name`` that ``model`` of ours can hold.

    Args:
        options: what a file's shapes say of the network, ``num_classes`` and ``precision`` included; an error of any
            kind if the file is none of these.
        match: the file's tensors, and where they go in the network.
        step: of two-step training; 0 if there is one step only.
        zero_stays: the source's sign of 0 is 0, where ours is +1.
        pixels: what the source does with them.
        dataset: the one of ours that the published network was trained on, if we have it.
    """

    name: str
    model: str
    options: Callable[[Checkpoint], Options]
    match: Callable[[Checkpoint, nn.Module], Match]
    step: int = 0
    zero_stays: bool = False
    pixels: Preprocessing = IMAGENET_PIXELS
    dataset: str | None = None


def build(model: str, options: Options) -> nn.Module:
    """The network, without memory for its weights, in evaluation mode; buffers that no file holds have their values."""
    with torch.device("meta"):
        network = create(model, **options)
    return network.eval()


def unusual(model: str, options: Options) -> Options:
    """Those of ``options`` that are not the architecture's own."""
    parameters = inspect.signature(get_model(model).build).parameters
    usual = {key: parameter.default for key, parameter in parameters.items()}
    return {key: value for key, value in options.items() if key not in usual or usual[key] != value}
