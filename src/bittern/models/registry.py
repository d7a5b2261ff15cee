"""The list of architectures: a decorated function is a row."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from bittern._lookup import find

Builder = Callable[..., nn.Module]


@dataclass(frozen=True)
class ModelInfo:
    """One row: ``build(num_classes=, in_channels=, image_size=, **options)`` makes the network.

    ``num_classes``, ``in_channels`` and ``image_size`` are what it was designed for, and the defaults of ``create``.
    """

    name: str
    build: Builder
    num_classes: int
    in_channels: int
    image_size: int
    description: str
    source: str


_MODELS: dict[str, ModelInfo] = {}


def register_model(
    name: str, *, num_classes: int, in_channels: int, image_size: int, description: str, source: str
) -> Callable[[Builder], Builder]:
    """Decorates the function that builds the network called ``name``; ValueError if the name is taken."""

    def register(build: Builder) -> Builder:
        if name in _MODELS:
            raise ValueError(f"there is a model called {name!r} already; choose another name")
        _MODELS[name] = ModelInfo(name, build, num_classes, in_channels, image_size, description, source)
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
        if value < 1:
            raise ValueError(f"{key} must be at least 1, got {value}")
    try:
        return info.build(**shape, **options)
    except TypeError as error:
        raise TypeError(f"model {name!r}: {error}") from error
