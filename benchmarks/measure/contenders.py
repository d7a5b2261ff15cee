"""The contenders of the comparison of optimizers: their settings, the networks, and how long they train."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bittern.train import Recipe, Stage


@dataclass(frozen=True)
class Contender:
    """An optimizer and its candidate settings, the same number for everyone.

    Args:
        candidates: keywords of ``Stage`` to choose from; the best one on held-out images is taken.
        chosen: its index, from ``python -m benchmarks optimizers --tune`` on ``TUNED_ON``; other networks and scales
            train with it too.
        published: accuracies on CIFAR-10 that others report, with network and source.
        stage: keywords of ``Stage`` that all candidates share.
        two_step: the first half of the epochs trains binary activations with real weights.
    """

    name: str
    title: str
    candidates: tuple[Mapping[str, Any], ...]
    chosen: int
    published: str
    stage: Mapping[str, Any] = field(default_factory=dict)
    two_step: bool = False


@dataclass(frozen=True)
class Scale:
    """Size of the networks, ``widths`` by model, and epochs of training."""

    name: str
    epochs: int
    widths: Mapping[str, tuple[int, ...]]


SCALES = {
    scale.name: scale
    for scale in (
        Scale(
            "slim",
            20,
            {"binarynet": (16, 16, 32, 32, 64, 64, 128, 128), "bi-real-net-cifar": (16, 32, 64)},
        ),
        Scale(
            "full",
            100,
            {"binarynet": (128, 128, 256, 256, 512, 512, 1024, 1024), "bi-real-net-cifar": (64, 128, 256)},
        ),
    )
}
NETWORKS = tuple(SCALES["slim"].widths)
TUNED_ON = ("slim", "binarynet")
BATCH = 100
TUNING_EPOCHS = 2


def _rates(*rates: float) -> tuple[Mapping[str, Any], ...]:
    return tuple({"lr": rate} for rate in rates)


def _binary(*options: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    return tuple({"binary_options": each} for each in options)


_CLIP = {"options": {"clip": 1.0}}
_RATES = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
_ADAM_RATES = _rates(*_RATES)


def _binary_optimizer(name: str) -> dict[str, Any]:
    """``name`` trains the binary weights, Adam the few real parameters, as in Bop's paper."""
    return {"binary_optimizer": name, "lr": 1e-2}


def _falling(name: str, key: str) -> dict[str, Any]:
    """... and ``key`` falls linearly, like a learning rate."""
    return {**_binary_optimizer(name), "binary_schedules": {key: "linear:0.01"}}


_SGD = tuple({"lr": lr, "options": {"clip": 1.0, "momentum": 0.9}} for lr in (0.01, 0.03, 0.1, 0.3, 1.0, 3.0))
_AMSGRAD = _binary(*({"lr": lr, "clip": 1.0} for lr in _RATES))
_BOP = _binary(
    *({"gamma": 1e-3, "threshold": threshold} for threshold in (1e-8, 1e-6)),
    *({"gamma": 1e-2, "threshold": threshold} for threshold in (1e-8, 1e-6)),
    *({"gamma": gamma, "threshold": 1e-8} for gamma in (3e-4, 3e-3)),
)
_BOP2 = _binary(
    *({"gamma": 1e-3, "threshold": threshold, "sigma": 1e-3} for threshold in (1e-6, 1e-2)),
    *({"gamma": 1e-2, "threshold": threshold, "sigma": 1e-3} for threshold in (1e-6, 1e-2)),
    *({"gamma": gamma, "threshold": 1e-6, "sigma": 1e-3} for gamma in (3e-4, 3e-3)),
)
_CEMA = _binary(*({"alpha": alpha, "gamma": 0.1} for alpha in (1e-4, 3e-4, 1e-3, 3e-3, 3e-5, 1e-2)))
_DIODE = _binary(*({"lr": 1e-3, "betas": (0.99, beta2)} for beta2 in (0.999, 0.9997, 0.9999, 0.99997, 0.997, 0.99)))
_BAMSPROD = _binary(*({"lr": lr} for lr in _RATES))

_BOP_PUBLISHED = "91.3 BinaryNet, its paper; 89.1 SnowBench"
_BOP2_PUBLISHED = "91.9 BinaryNet, its paper; 89.7 SnowBench"
_BAMSPROD_PUBLISHED = 'the original: +3.7 % over "the specific binary optimizer", its abstract'

_ROWS = (
    Contender("sgd", "SGD, momentum 0.9", _SGD, 4, "89.9 BinaryNet, SnowBench", {"optimizer": "sgd"}),
    Contender("adam", "Adam, one step", _ADAM_RATES, 5, "90.9 BinaryNet, Bop's paper; 90.0 SnowBench", _CLIP),
    Contender("adam-two-step", "Adam, two steps", _ADAM_RATES, 2, "-", _CLIP, two_step=True),
    Contender("amsgrad", "AMSGrad", _ADAM_RATES, 3, "-", {"optimizer": "amsgrad", **_CLIP}),
    Contender("amsgrad-binary", "AMSGrad, binary weights only", _AMSGRAD, 3, "-", _binary_optimizer("amsgrad")),
    Contender("bop", "Bop", _BOP, 5, _BOP_PUBLISHED, _falling("bop", "gamma")),
    Contender("bop2ndorder", "Bop2ndOrder", _BOP2, 5, _BOP2_PUBLISHED, _falling("bop2ndorder", "gamma")),
    Contender("cema", "CEMA", _CEMA, 2, "-", _falling("cema", "alpha")),
    Contender("diode", "Diode", _DIODE, 4, "-", _binary_optimizer("diode")),
    Contender(
        "bamsprod", "BAMSProd (reconstruction)", _BAMSPROD, 5, _BAMSPROD_PUBLISHED, _binary_optimizer("bamsprod")
    ),
)
CONTENDERS: dict[str, Contender] = {row.name: row for row in _ROWS}


def recipe(contender: Contender, scale: Scale, network: str, *, candidate: int | None = None) -> Recipe:
    """What ``contender`` trains with its chosen setting; with a ``candidate``, its tuning on held-out images."""
    tuning = candidate is not None
    setting = contender.candidates[contender.chosen if candidate is None else candidate]
    keywords = {**contender.stage, **setting}
    epochs = TUNING_EPOCHS if tuning else scale.epochs
    first = epochs // 2 if contender.two_step else 0
    stages = [Stage("train", "binary", epochs - first, **keywords)]
    if first:
        stages.insert(0, Stage("step1", "binary_activations", first, weight_decay=5e-6, **keywords))
    return Recipe(
        name=f"{contender.name}-{network}",
        dataset="cifar10-held-out" if tuning else "cifar10",
        model=network,
        stages=tuple(stages),
        batch_size=BATCH,
        augmentation="crop4-flip",
        model_options={"widths": scale.widths[network]},
        description=contender.title,
        source="benchmarks/measure/contenders.py",
        expected="",
    )
