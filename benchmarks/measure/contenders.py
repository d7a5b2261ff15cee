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


def _latent_free(optimizer: str, key: str) -> dict[str, Any]:
    """``key`` falls linearly, like a learning rate; Adam trains the few real parameters, as in Bop's paper."""
    return {"binary_optimizer": optimizer, "binary_schedules": {key: "linear:0.01"}, "lr": 1e-2}


CONTENDERS: dict[str, Contender] = {
    row.name: row
    for row in (
        Contender(
            "sgd",
            "SGD, momentum 0.9",
            tuple({"lr": lr, "options": {"clip": 1.0, "momentum": 0.9}} for lr in (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)),
            4,
            "89.9 BinaryNet, SnowBench",
            {"optimizer": "sgd"},
        ),
        Contender("adam", "Adam, one step", _ADAM_RATES, 5, "90.9 BinaryNet, Bop's paper; 90.0 SnowBench", _CLIP),
        Contender("adam-two-step", "Adam, two steps", _ADAM_RATES, 2, "-", _CLIP, two_step=True),
        Contender("amsgrad", "AMSGrad", _ADAM_RATES, 3, "-", {"optimizer": "amsgrad", **_CLIP}),
        Contender(
            "amsgrad-binary",
            "AMSGrad, binary weights only",
            _binary(*({"lr": lr, "clip": 1.0} for lr in _RATES)),
            3,
            "-",
            {"binary_optimizer": "amsgrad", "lr": 1e-2},
        ),
        Contender(
            "bop",
            "Bop",
            _binary(
                {"gamma": 1e-3, "threshold": 1e-8},
                {"gamma": 1e-3, "threshold": 1e-6},
                {"gamma": 1e-2, "threshold": 1e-8},
                {"gamma": 1e-2, "threshold": 1e-6},
                {"gamma": 3e-4, "threshold": 1e-8},
                {"gamma": 3e-3, "threshold": 1e-8},
            ),
            5,
            "91.3 BinaryNet, its paper; 89.1 SnowBench",
            _latent_free("bop", "gamma"),
        ),
        Contender(
            "bop2ndorder",
            "Bop2ndOrder",
            _binary(
                {"gamma": 1e-3, "threshold": 1e-6, "sigma": 1e-3},
                {"gamma": 1e-3, "threshold": 1e-2, "sigma": 1e-3},
                {"gamma": 1e-2, "threshold": 1e-6, "sigma": 1e-3},
                {"gamma": 1e-2, "threshold": 1e-2, "sigma": 1e-3},
                {"gamma": 3e-4, "threshold": 1e-6, "sigma": 1e-3},
                {"gamma": 3e-3, "threshold": 1e-6, "sigma": 1e-3},
            ),
            5,
            "91.9 BinaryNet, its paper; 89.7 SnowBench",
            _latent_free("bop2ndorder", "gamma"),
        ),
        Contender(
            "cema",
            "CEMA",
            _binary(*({"alpha": alpha, "gamma": 0.1} for alpha in (1e-4, 3e-4, 1e-3, 3e-3, 3e-5, 1e-2))),
            2,
            "-",
            _latent_free("cema", "alpha"),
        ),
        Contender(
            "diode",
            "Diode",
            _binary(*({"lr": 1e-3, "betas": (0.99, beta2)} for beta2 in (0.999, 0.9997, 0.9999, 0.99997, 0.997, 0.99))),
            4,
            "-",
            {"binary_optimizer": "diode", "lr": 1e-2},
        ),
        Contender(
            "bamsprod",
            "BAMSProd (reconstruction)",
            _binary(*({"lr": lr} for lr in _RATES)),
            5,
            'the original: +3.7 % over "the specific binary optimizer", its abstract',
            {"binary_optimizer": "bamsprod", "lr": 1e-2},
        ),
    )
}


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
