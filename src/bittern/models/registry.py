"""The list of architectures: a decorated function is a row."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from bittern._lookup import find

Builder = Callable[..., nn.Module]


IMAGENET = {"num_classes": 1000, "in_channels": 3, "image_size": 224}
CIFAR10 = {"num_classes": 10, "in_channels": 3, "image_size": 32}


@dataclass(frozen=True)
class Facts:
    """What is known of an architecture as ``create(name)`` builds it. A test compares the counts with ``summary``.

    Args:
        parameters: numbers that are learned. ``binary_parameters`` of them are binarized before use.
        binary_macs: multiply-accumulates of signs by signs for one image; ``float_macs`` are all others.
        top1: published accuracy in percent; None if nobody published one.
        top1_source: on which data set, and who says so; empty if nobody.
    """

    parameters: int
    binary_parameters: int
    binary_macs: int
    float_macs: int
    top1: float | None = None
    top1_source: str = ""


@dataclass(frozen=True)
class ModelInfo:
    """One row: ``build(num_classes=, in_channels=, image_size=, **options)`` makes the network.

    ``num_classes``, ``in_channels`` and ``image_size`` are what it was designed for, and the defaults of ``create``.
    ``facts`` is None for an architecture that a user registered without them.
    """

    name: str
    build: Builder
    num_classes: int
    in_channels: int
    image_size: int
    description: str
    source: str
    facts: Facts | None = None


_MODELS: dict[str, ModelInfo] = {}


def register_model(
    name: str,
    *,
    num_classes: int,
    in_channels: int,
    image_size: int,
    description: str,
    source: str,
    facts: Facts | None = None,
) -> Callable[[Builder], Builder]:
    """Decorates the function that builds the network called ``name``; ValueError if the name is taken."""

    def register(build: Builder) -> Builder:
        if name in _MODELS:
            raise ValueError(f"there is a model called {name!r} already; choose another name")
        _MODELS[name] = ModelInfo(name, build, num_classes, in_channels, image_size, description, source, facts)
        return build

    return register


def list_models() -> list[str]:
    """Every name that ``create`` knows, sorted."""
    return sorted(_MODELS)


def get_model(name: str) -> ModelInfo:
    """The row of ``name``; ValueError with the known names and the nearest if there is none."""
    return find("model", name, _MODELS)


def create(
    name: str,
    *,
    num_classes: int | None = None,
    in_channels: int | None = None,
    image_size: int | None = None,
    **options: Any,
) -> nn.Module:
    """Builds the network called ``name`` with random weights.

    Args:
        image_size: height and width of the square input, [N, in_channels, image_size, image_size].
        options: the architecture's own arguments; every one takes ``precision`` (``bittern.models.Precision``).
    """
    info = get_model(name)
    shape = {
        "num_classes": info.num_classes if num_classes is None else num_classes,
        "in_channels": info.in_channels if in_channels is None else in_channels,
        "image_size": info.image_size if image_size is None else image_size,
    }
    for key, value in shape.items():
        if not isinstance(value, int) or isinstance(value, bool):
            raise TypeError(f"{key} must be an integer, got {value!r}")
        if value < 1:
            raise ValueError(f"{key} must be at least 1, got {value}")
    try:
        return info.build(**shape, **options)
    except TypeError as error:
        raise TypeError(f"model {name!r}: {error}") from error
