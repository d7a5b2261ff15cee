"""A source of checkpoints: how to tell the model from names and shapes, and where each tensor goes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from bittern._preprocessing import IMAGENET_PIXELS, Preprocessing
from bittern.importers.slots import Match
from bittern.importers.tensor_file import TensorFile
from bittern.models import create, get_model

Options = dict[str, Any]
"""Keywords of ``bittern.models.create``."""

CHANNELS = 3
"""All known checkpoints are for RGB images."""


@dataclass(frozen=True)
class Source:
    """One row: files of ``name`` whose weights our ``model`` takes.

    Args:
        options: the network's options as the shapes in a file tell them, ``num_classes`` and ``precision`` included;
            raises LookupError or ValueError for a file of something else.
        match: assigns the file's tensors to those of the network.
        step: of two-step training; 0 if there is only one.
        zero_stays: the source's sign of 0 is 0, where ours is +1.
        pixels: the source's preprocessing.
        dataset: our data set that the published network was trained on, if we have it.
    """

    name: str
    model: str
    options: Callable[[TensorFile], Options]
    match: Callable[[TensorFile, nn.Module], Match]
    step: int = 0
    zero_stays: bool = False
    pixels: Preprocessing = IMAGENET_PIXELS
    dataset: str | None = None


def build(model: str, options: Options) -> nn.Module:
    """The network in evaluation mode, on the meta device; ValueError if ``options`` make none."""
    try:
        with torch.device("meta"):
            return create(model, **options).eval()
    except RuntimeError as error:  # torch's, about sizes that overflow
        raise ValueError(f"{model} cannot be built with {options}: {error}") from error


def unusual(model: str, options: Options) -> Options:
    """Those of ``options`` that differ from the architecture's defaults."""
    usual = get_model(model).options
    return {key: value for key, value in options.items() if key not in usual or usual[key] != value}
