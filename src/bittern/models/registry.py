"""The registry of architectures: a decorator adds a row, and a network class may have several."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from inspect import signature
from types import MappingProxyType
from typing import Any, TypedDict, TypeVar

from torch import nn

from bittern._lookup import OWN, find

Builder = TypeVar("Builder", bound=Callable[..., nn.Module])


class ImageTask(TypedDict):
    """What a network is designed for: ``num_classes`` logits for images [N, in_channels, image_size, image_size]."""

    num_classes: int
    in_channels: int
    image_size: int


IMAGENET: ImageTask = {"num_classes": 1000, "in_channels": 3, "image_size": 224}
CIFAR10: ImageTask = {"num_classes": 10, "in_channels": 3, "image_size": 32}


@dataclass(frozen=True)
class Facts:
    """What is known of an architecture as ``create(name)`` builds it; a test compares the counts with ``summary``.

    Args:
        parameters: learned numbers, of which ``binary_parameters`` are binarized before use.
        binary_macs: multiply-accumulates of signs by signs for one image; ``float_macs`` are all others.
        top1: published accuracy in percent; None if none was published.
        top1_source: the data set, and who published it; empty if nobody did.
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

    Args:
        num_classes: that it was designed for, and the default of ``create``; so are ``in_channels`` and ``image_size``.
        options: every other keyword of ``create``, with its default.
        facts: None for an architecture that a user registered without them.
    """

    name: str
    build: Callable[..., nn.Module]
    num_classes: int
    in_channels: int
    image_size: int
    description: str
    source: str
    facts: Facts | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


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
    defaults: Mapping[str, Any] = MappingProxyType({}),
    **fixed: Any,
) -> Callable[[Builder], Builder]:
    """Decorates the class or function that builds the network called ``name``; ValueError if the name is taken.

    The builder takes ``num_classes``, ``in_channels``, ``image_size`` and keyword-only arguments. Of those, ``fixed``
    are given by this row; all others are options of ``create``, whose defaults ``defaults`` replaces. TypeError if the
    builder takes none of that name.
    """

    def register(builder: Builder) -> Builder:
        if name in _MODELS:
            raise ValueError(f"a model called {name!r} exists already; choose another name")
        keywords = {p.name: p.default for p in signature(builder).parameters.values() if p.kind is p.KEYWORD_ONLY}
        unknown = [key for key in (*defaults, *fixed) if key not in keywords]
        if unknown:
            raise TypeError(f"the builder of {name!r} has no keyword-only argument {unknown[0]!r}: {builder!r}")
        options = {key: default for key, default in {**keywords, **defaults}.items() if key not in fixed}
        build = partial(builder, **defaults, **fixed)
        shape = (num_classes, in_channels, image_size)
        _MODELS[name] = ModelInfo(name, build, *shape, description, source, facts, options)
        return builder

    return register


def list_models() -> list[str]:
    """Every name that ``create`` knows, sorted."""
    return sorted(_MODELS)


def get_model(name: str) -> ModelInfo:
    """The row of ``name``; ValueError with the known names and the nearest one if there is none."""
    return find("model", name, _MODELS, OWN)


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
        options: of the architecture (``get_model(name).options``), among them ``precision``
            (``bittern.models.Precision``).

    Raises:
        ValueError: no such model, or a value that the architecture cannot have.
        TypeError: no such option, or a value of the wrong type.
    """
    info = get_model(name)
    given = {"num_classes": num_classes, "in_channels": in_channels, "image_size": image_size}
    shape = {key: getattr(info, key) if value is None else value for key, value in given.items()}
    for key, value in shape.items():
        if not isinstance(value, int) or isinstance(value, bool):
            raise TypeError(f"{key} must be an integer, got {value!r}")
        if value < 1:
            raise ValueError(f"{key} must be at least 1, got {value}")
    unknown = [key for key in options if key not in info.options]
    if unknown:
        raise TypeError(f"model {name!r} has no option {unknown[0]!r}; its options are {', '.join(info.options)}")
    try:
        return info.build(**shape, **options)
    except TypeError as error:
        raise TypeError(f"model {name!r}: {error}") from error
