"""Recipes as data: what to train, on what, how long. ``settings.py`` lets a user override them by key."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bittern._lookup import find
from bittern.data import get_augmentation, get_dataset
from bittern.models import Precision, get_model
from bittern.models.precision import check_precision

MIXED_PRECISIONS = {"no": "32-true", "bf16": "bf16-mixed"}
"""``Recipe.mixed_precision`` -> ``precision`` of Lightning Fabric."""


@dataclass(frozen=True)
class Stage:
    """A stretch of training with one optimizer, which starts from the weights of the stage before.

    Adam with L2 decay; the learning rate falls linearly from ``lr`` to 0 over the stage, step by step.
    """

    name: str
    precision: Precision
    epochs: int
    lr: float
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        check_precision(self.precision)
        if self.epochs < 1:
            raise ValueError(f"{self.name}.epochs must be at least 1, got {self.epochs}")
        if not 0 < self.lr < float("inf"):
            raise ValueError(f"{self.name}.lr must be above 0, got {self.lr}")
        if not 0 <= self.weight_decay < float("inf"):
            raise ValueError(f"{self.name}.weight_decay must be at least 0, got {self.weight_decay}")


@dataclass(frozen=True)
class Recipe:
    """One row of the list.

    Args:
        evaluate_every: epochs between looks at the test split. They only inform: the last epoch's weights are kept.
        expected: what a run gives, measured.
    """

    name: str
    dataset: str
    model: str
    stages: tuple[Stage, ...]
    batch_size: int
    augmentation: str
    description: str
    source: str
    expected: str
    label_smoothing: float = 0.0
    mixed_precision: str = "no"
    evaluate_every: int = 1
    model_options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        get_dataset(self.dataset)
        get_model(self.model)
        get_augmentation(self.augmentation)
        find("mixed_precision", self.mixed_precision, MIXED_PRECISIONS)
        if not self.stages:
            raise ValueError(f"recipe {self.name!r} needs at least one stage")
        for name in ("batch_size", "evaluate_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing must be in [0, 1), got {self.label_smoothing}")

    @property
    def epochs(self) -> int:
        """Epochs of all stages together."""
        return sum(stage.epochs for stage in self.stages)


_TWO_STEP = "two-step Adam of AdamBNN (Liu et al. 2021, arXiv:2106.11309)"

_RECIPES: dict[str, Recipe] = {
    row.name: row
    for row in (
        Recipe(
            name="digits",
            dataset="digits",
            model="digits-resnet",
            stages=(
                Stage("step1", "binary_activations", epochs=12, lr=2e-3, weight_decay=5e-6),
                Stage("step2", "binary", epochs=16, lr=2e-3),
            ),
            batch_size=64,
            augmentation="shift1",
            label_smoothing=0.1,
            description="binary network on scikit-learn's digits",
            source=_TWO_STEP,
            expected="98.0 to 99.4 % of the test digits over five seeds",
        ),
        Recipe(
            name="digits-float",
            dataset="digits",
            model="digits-resnet",
            stages=(Stage("train", "float", epochs=12, lr=2e-3, weight_decay=5e-6),),
            batch_size=64,
            augmentation="shift1",
            label_smoothing=0.1,
            description="the float twin of digits",
            source="the same network with real weights and ReLU",
            expected="99 to 100 % of the test digits",
        ),
        Recipe(
            name="cifar10-quick",
            dataset="cifar10",
            model="cifar-resnet",
            stages=(
                Stage("step1", "binary_activations", epochs=6, lr=2e-3, weight_decay=5e-6),
                Stage("step2", "binary", epochs=8, lr=2e-3),
            ),
            batch_size=64,
            augmentation="crop2-flip",
            mixed_precision="bf16",
            evaluate_every=5,
            description="binary network on CIFAR-10 in ten minutes on two cores",
            source=_TWO_STEP,
            expected="80.0 % of the test images of CIFAR-10 (JPEG copy)",
        ),
    )
}


def list_recipes() -> list[str]:
    """Every name that ``get_recipe`` knows, sorted."""
    return sorted(_RECIPES)


def get_recipe(name: str) -> Recipe:
    """The recipe called ``name``; ValueError with the known names and the nearest if there is none."""
    return find("recipe", name, _RECIPES)
