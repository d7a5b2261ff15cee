"""The runs of the study: which of AdamBNN's and Bop's experiments each belongs to, and how it is trained."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bittern.train import Recipe, Stage

EPOCHS = 4
"""Of each step of a run. Two steps take twice as long, so some runs of one step are twice as long too."""
BATCH = 100
ADAM_RATE, SGD_RATE = 1e-3, 5e-2


@dataclass(frozen=True)
class StudyRun:
    """One setting, trained with every seed.

    Args:
        experiments: names of ``EXPERIMENTS`` that it belongs to.
        published: the papers' figures for it, by our names; percent as shares.
    """

    name: str
    title: str
    model: str
    stages: tuple[Stage, ...]
    experiments: tuple[str, ...]
    published: Mapping[str, float]

    @property
    def recipe(self) -> Recipe:
        return Recipe(
            name=self.name,
            dataset="cifar10",
            model=self.model,
            stages=self.stages,
            batch_size=BATCH,
            augmentation="crop4-flip",
            model_options={"widths": WIDTHS[self.model]},
            description=self.title,
            source="benchmarks/measure/adam_runs.py",
            expected="",
        )


WIDTHS = {"bi-real-net-cifar": (8, 16, 32), "binarynet": (16, 16, 32, 32, 64, 64, 128, 128)}

EXPERIMENTS = {
    "optimizer": "SGD against Adam",
    "decay": "Weight decay in one and two steps",
    "rate": "Learning rates",
    "gamma": "Bop's gamma, with tau 1e-6",
    "tau": "Bop's tau, with gamma 1e-3",
}

_SGD: dict[str, Any] = {"optimizer": "sgd", "options": {"momentum": 0.9}}


def _one_step(lr: float, decay: float = 0.0, *, epochs: int = EPOCHS, **options: Any) -> tuple[Stage, ...]:
    return (Stage("train", "binary", epochs, lr, weight_decay=decay, **options),)


def _two_steps(lr: float, decay: float = 0.0, **options: Any) -> tuple[Stage, ...]:
    return (
        Stage("step1", "binary_activations", EPOCHS, lr, weight_decay=decay, **options),
        Stage("step2", "binary", EPOCHS, lr, **options),
    )


def _adambnn(name: str, title: str, stages: tuple[Stage, ...], *experiments: str, top1: float = 0.0) -> StudyRun:
    published = {**({"accuracy": top1} if top1 else {}), **_PUBLISHED.get(name, {})}
    return StudyRun(name, title, "bi-real-net-cifar", stages, experiments, published)


def _bop(name: str, title: str, gamma: float, threshold: float, *experiments: str) -> StudyRun:
    options = {"gamma": gamma, "threshold": threshold}
    stages = _one_step(1e-2, binary_optimizer="bop", binary_options=options)
    return StudyRun(name, title, "binarynet", stages, experiments, {})


_PUBLISHED: dict[str, dict[str, float]] = {
    "adam": {
        "ff": 2.86e-4,
        "c2i": 0.5243,
        "saturation_first": 0.3545,
        "saturation_last": 0.2381,
        "sdam": 5.558e-3,
        "least_cam": 0.0306,
    },
    "sgd": {"saturation_first": 0.4254, "saturation_last": 0.3861, "sdam": 6.227e-3, "below_rival": 0.343},
    "one-1e-5": {"ff": 2.33e-3, "c2i": 0.4810},
    "one-5e-6": {"ff": 1.62e-3, "c2i": 0.4960},
    "one-negative": {"ff": 1.07e-7, "c2i": 0.9740},
    "two-1e-5": {"ff": 4.89e-4, "c2i": 0.6315},
    "two-5e-6": {"ff": 4.50e-4, "c2i": 0.6636},
}
"""AdamBNN's figures but for accuracies."""
_ADAM_TOP1 = {1e-4: 0.584, 2e-4: 0.5885, 5e-4: 0.6085, 2e-3: 0.608, 5e-3: 0.587}
_SGD_TOP1 = {2e-3: 0.575, 5e-3: 0.5895, 1e-2: 0.586, 1e-1: 0.586, 2e-1: 0.576}
"""Read off figure 8, whose values at the rates used elsewhere are those of the runs ``adam`` and ``sgd``."""

_LONG = 2 * EPOCHS
RUNS: tuple[StudyRun, ...] = (
    _adambnn("adam", "Adam, one step, no decay", _one_step(ADAM_RATE), "optimizer", "decay", "rate", top1=0.6149),
    _adambnn("sgd", "SGD, one step", _one_step(SGD_RATE, **_SGD), "optimizer", "rate", top1=0.5898),
    _adambnn("adam-long", "Adam, one step, twice as long", _one_step(ADAM_RATE, epochs=_LONG), "optimizer", "decay"),
    _adambnn("sgd-long", "SGD, one step, twice as long", _one_step(SGD_RATE, epochs=_LONG, **_SGD), "optimizer"),
    _adambnn("sgd-two-steps", "SGD, two steps", _two_steps(SGD_RATE, 5e-6, **_SGD), "optimizer", top1=0.6125),
    _adambnn("one-1e-5", "one step, decay 1e-5", _one_step(ADAM_RATE, 1e-5), "decay", top1=0.6173),
    _adambnn("one-5e-6", "one step, decay 5e-6", _one_step(ADAM_RATE, 5e-6), "decay", top1=0.6189),
    _adambnn("one-1e-3", "one step, decay 1e-3", _one_step(ADAM_RATE, 1e-3), "decay"),
    _adambnn("one-negative", "one step, decay -1e-4", _one_step(ADAM_RATE, -1e-4), "decay", top1=0.2621),
    _adambnn("two-1e-5", "two steps, decay 1e-5, then 0", _two_steps(ADAM_RATE, 1e-5), "decay", top1=0.6263),
    _adambnn("two-1e-3", "two steps, decay 1e-3, then 0", _two_steps(ADAM_RATE, 1e-3), "decay"),
    _adambnn(
        "two-5e-6", "two steps, decay 5e-6, then 0", _two_steps(ADAM_RATE, 5e-6), "decay", "optimizer", top1=0.6323
    ),
    _bop("bop-1e-3-1e-6", "gamma 1e-3, tau 1e-6", 1e-3, 1e-6, "gamma", "tau"),
    _bop("bop-1e-2-1e-6", "gamma 1e-2, tau 1e-6", 1e-2, 1e-6, "gamma"),
    _bop("bop-1e-4-1e-6", "gamma 1e-4, tau 1e-6", 1e-4, 1e-6, "gamma"),
    _bop("bop-1e-3-0", "gamma 1e-3, tau 0", 1e-3, 0.0, "tau"),
    _bop("bop-1e-3-1e-5", "gamma 1e-3, tau 1e-5", 1e-3, 1e-5, "tau"),
    *(_adambnn(f"adam-{lr:g}", f"Adam, {lr:g}", _one_step(lr), "rate", top1=t) for lr, t in _ADAM_TOP1.items()),
    *(_adambnn(f"sgd-{lr:g}", f"SGD, {lr:g}", _one_step(lr, **_SGD), "rate", top1=t) for lr, t in _SGD_TOP1.items()),
)
