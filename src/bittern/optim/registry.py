"""Every optimizer by name."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch.optim import AdamW, Optimizer
from torch.optim.optimizer import ParamsT

from bittern._lookup import find
from bittern.optim.bamsprod import BAMSProd
from bittern.optim.bop import Bop
from bittern.optim.bop2ndorder import Bop2ndOrder
from bittern.optim.cema import CEMA
from bittern.optim.diode import Diode
from bittern.optim.latent import LatentAdam, LatentSGD


@dataclass(frozen=True)
class OptimizerInfo:
    """One row of the registry.

    Attributes:
        latent_free: the parameters are -1 and +1 instead of latent weights.
        state: state tensors as large as the parameter, with ``defaults``.
        use: when to choose it.
        defaults: options of ``create_optimizer`` that differ from the class's.
    """

    name: str
    cls: type[Optimizer]
    latent_free: bool
    state: int
    equation: str
    use: str
    source: str
    defaults: Mapping[str, Any] = field(default_factory=dict)


_BOP2 = "Suarez-Ramirez et al. 2021, A Bop and Beyond, arXiv:2104.05124"

OPTIMIZERS: dict[str, OptimizerInfo] = {
    row.name: row
    for row in (
        OptimizerInfo(
            "sgd",
            LatentSGD,
            False,
            1,
            "m = momentum m + g; w -= lr m",
            "the simplest; use `clip`, or weights drift where their signs no longer change",
            "Rumelhart et al. 1986, Learning representations by back-propagating errors",
            {"momentum": 0.9},
        ),
        OptimizerInfo(
            "adam",
            LatentAdam,
            False,
            2,
            "m = avg(g), v = avg(g^2), both corrected for their start; w -= lr m / (sqrt(v) + eps)",
            "latent weights, in most recipes: division by sqrt(v) moves those whose gradients are small or rare",
            "Kingma and Ba 2015, Adam, arXiv:1412.6980",
        ),
        OptimizerInfo(
            "amsgrad",
            LatentAdam,
            False,
            3,
            "Adam with the largest v so far",
            "where large gradients are rare and matter, and Adam forgets them",
            "Reddi et al. 2018, On the Convergence of Adam and Beyond",
            {"amsgrad": True},
        ),
        OptimizerInfo(
            "adamw",
            AdamW,
            False,
            2,
            "Adam; w -= lr weight_decay w",
            "real-valued parameters beside a latent-free optimizer",
            "Loshchilov and Hutter 2019, Decoupled Weight Decay Regularization, arXiv:1711.05101",
            {"foreach": True},  # torch's own default is its slowest form on a CPU
        ),
        OptimizerInfo(
            "bop",
            Bop,
            True,
            1,
            "m = (1 - gamma) m + gamma g; flip where w m > threshold",
            "the least state; needs a falling gamma and a threshold that fits the gradients' scale",
            "Helwegen et al. 2019, Latent Weights Do Not Exist, arXiv:1906.02107",
        ),
        OptimizerInfo(
            "bop2ndorder",
            Bop2ndOrder,
            True,
            2,
            "m = avg(g, gamma), v = avg(g^2, sigma); flip where w m / (sqrt(v) + 1e-10) > threshold",
            "Bop where gradients differ in scale between layers or over time",
            _BOP2,
        ),
        OptimizerInfo(
            "bop2ndorder-unbiased",
            Bop2ndOrder,
            True,
            2,
            "bop2ndorder with m / gamma and v / sigma",
            "the same as bop2ndorder with the threshold times gamma / sqrt(sigma)",
            _BOP2,
            {"unbiased": True},
        ),
        OptimizerInfo(
            "cema",
            CEMA,
            True,
            2,
            "m = avg(g, gamma), h = avg(m, alpha); flip where w h > 0",
            "no threshold: alpha takes the place of the learning rate, and falls to 0 like one",
            "Quist et al. 2023, Understanding weight-magnitude hyperparameters in training binary networks, ICLR",
        ),
        OptimizerInfo(
            "diode",
            Diode,
            True,
            2,
            "l = avg(g), s = avg(lr sign(l)); w = -sign(s)",
            "no threshold, and averages of gradients count by their signs alone",
            "Guo et al. 2024, Join the High Accuracy Club on ImageNet with a Binary Neural Network Ticket, ECCV",
        ),
        OptimizerInfo(
            "bamsprod",
            BAMSProd,
            False,
            3,
            "AMSGrad with g clipped to kappa sqrt(vmax), kappa by the filter's quantization error (reconstruction)",
            "an experiment, for filters whose weights differ much in size; no published figures to compare with",
            "reconstruction after the abstract of Liu et al. 2020, BAMSProd, arXiv:2009.13799",
        ),
    )
}


def list_optimizers() -> list[str]:
    """The names of all optimizers."""
    return list(OPTIMIZERS)


def get_optimizer(name: str) -> OptimizerInfo:
    """The row called ``name``; ValueError with the known names if there is none."""
    return find("optimizer", name, OPTIMIZERS)


def create_optimizer(name: str, params: ParamsT, **options: Any) -> Optimizer:
    """The optimizer called ``name`` for ``params`` (tensors or groups); ValueError for an option that it lacks."""
    row = get_optimizer(name)
    known = dict(inspect.signature(row.cls).parameters)
    del known["params"]
    for option in options:
        find(f"option of {name}", option, known)
    defaults = dict(row.defaults)
    if options.get("fused"):
        defaults.pop("foreach", None)  # torch takes one of the two
    return row.cls(params, **{**defaults, **options})
