"""The rules of the diagnosis: what stands out, from which threshold on, and what to try."""

from dataclasses import dataclass
from typing import Literal

_ADAMBNN = "Liu et al. 2021, AdamBNN, arXiv:2106.11309"
_OVSW = "Xiang et al. 2024, OvSW, arXiv:2407.05257"
_BOP = "Helwegen et al. 2019, Bop, arXiv:1906.02107"
_OURS = "threshold: ours"

Weights = Literal["any", "latent", "latent-free"]


@dataclass(frozen=True)
class Rule:
    """Holds in a layer whose measure is beyond ``threshold`` at the end of the run.

    Args:
        instrument, measure: what is looked at; ``"ff_step"`` is the flip-flop ratio of each step of all weights.
        side: "above" or "below".
        says: the sentence; {layer}, {value} (in percent, or as it is with {number}), {since}, {others}.
        weights: which runs it is for.
        total: the mean over the layers is judged instead of each layer.
        continued: only where the last stage began with the weights of another.
        kind: "problem" or "note".
    """

    name: str
    instrument: str
    measure: str
    side: Literal["above", "below"]
    threshold: float
    says: str
    advice: str
    source: str
    weights: Weights = "any"
    total: bool = False
    continued: bool = False
    kind: Literal["problem", "note"] = "problem"


RULES = (
    Rule(
        "saturated activations",
        "saturation",
        "saturation",
        "above",
        0.42,
        "{value} of what enters the sign of {layer} lies beyond 1, where ste and approx_sign pass no gradient, "
        "{since}{others}.",
        "Adam's second moment revives what is saturated: SGD ended at 38.6 %, Adam at 23.8 %. Put BatchNorm in front "
        "of the sign, or a learned threshold (RSign); try an estimator that reaches further (ste_1.25, ste_1.5).",
        f"{_ADAMBNN}, figure 3: 42.5 % with SGD after an epoch",
    ),
    Rule(
        "dead channels",
        "channels",
        "dead_channels",
        "above",
        0.10,
        "{value} of the channels that enter the sign of {layer} say the same whatever the image, {since}{others}.",
        "They carry nothing. A learned threshold per channel (RSign), a lower learning rate, or Adam where SGD is used "
        "bring channels back.",
        f"{_ADAMBNN}, section 3.2; {_OURS}",
    ),
    Rule(
        "dead weights",
        "dead_weights",
        "dead_weights",
        "above",
        0.30,
        "No gradient reaches {value} of the weights of {layer}, {since}{others}.",
        "Latent weights beyond 1 and saturated activations block it. Clip latent weights to [-1, 1], or use a weight "
        "estimator that passes everywhere (identity).",
        f"{_ADAMBNN}, section 3.2.3; {_OURS}",
    ),
    Rule(
        "blocked latent weights",
        "latent",
        "beyond_one",
        "above",
        0.20,
        "{value} of the latent weights of {layer} lie beyond 1, where ste and approx_sign pass them no gradient, "
        "{since}{others}.",
        "With these only decay and momentum still move them. Clip latent weights after each step, lower the learning "
        "rate, or let weights decay in the first step of two.",
        f"Courbariaux et al. 2016, arXiv:1602.02830, section 1.3; {_OURS}",
        weights="latent",
    ),
    Rule(
        "restless signs",
        "flips",
        "ff_step",
        "above",
        2.33e-3,
        "Still {number} of all signs flip in a step, {since}.",
        "That is more than with the worst decay of the paper's table. Lower the learning rate to 0 towards the end, "
        "and the weight decay, to 0 in the second step of two.",
        f"{_ADAMBNN}, table 1: 2.33e-3 with weight decay 1e-5",
        weights="latent",
        total=True,
    ),
    Rule(
        "flips do not settle",
        "flips",
        "ff_step",
        "above",
        1e-3,
        "Still {number} of all signs flip in a step, {since}.",
        "gamma is too high or the threshold too low. Let gamma fall (by 10 every fifth of the training), or raise the "
        "threshold.",
        f"{_BOP}, section 5.1 and figure 1; {_OURS}",
        weights="latent-free",
        total=True,
    ),
    Rule(
        "lost initialization",
        "c2i",
        "c2i_stage",
        "below",
        0.55,
        "Only {value} of the signs are those that the stage began with (50 %: unrelated), {since}.",
        "What the stage before has learned is lost. Without weight decay in the second step more of it stays: 66 % in "
        "the paper's best scheme.",
        f"{_ADAMBNN}, table 1: 0.48 to 0.52 in one step, 0.63 to 0.66 in two",
        total=True,
        continued=True,
    ),
    Rule(
        "frozen signs",
        "c2i",
        "c2i_stage",
        "above",
        0.95,
        "{value} of the signs are still those that the stage began with.",
        "The weights hardly train. Raise the learning rate, start from smaller latent weights, or (Bop) lower the "
        "threshold; negative weight decay does this too.",
        f"{_ADAMBNN}, table 1: 0.974 and 26 % accuracy with weight decay -1e-4",
        total=True,
    ),
    Rule(
        "silent weights",
        "flips",
        "silent",
        "above",
        0.50,
        "{value} of the signs of {layer} have not changed once since the stage began{others}.",
        "Scale the gradients of such filters up (OvSW's adaptive gradient scaling), or let silent weights decay.",
        f"{_OVSW}: more than half of the weights in plain training",
        kind="note",
    ),
    Rule(
        "oscillating weights",
        "flips",
        "oscillating",
        "above",
        0.05,
        "{value} of the signs of {layer} go back and forth, {since}{others}.",
        "They sit at zero. Lower the learning rate faster, or freeze them.",
        f"Nagel et al. 2022, arXiv:2203.11086; {_OURS}",
    ),
    Rule(
        "far from binary",
        "quantization",
        "quantization_error",
        "above",
        0.45,
        "One scale and signs miss {value} of the square of the filters of {layer}, {since}{others}.",
        "Normal weights miss 36 %: here a few large weights rule their filters. Clip or standardise latent weights.",
        f"Rastegari et al. 2016, XNOR-Net, arXiv:1603.05279, eq. 2-6; {_OURS}",
        weights="latent",
    ),
    Rule(
        "misleading gradients",
        "mismatch",
        "agreement",
        "below",
        0.10,
        "Along the gradient of {layer} the smoothed network falls {number} times as fast as the gradient says, "
        "{since}{others}.",
        "Try an estimator nearer to the sign (approx_sign), or one that sharpens during training (IR-Net's, ReSTE).",
        _OURS,
        weights="latent",
    ),
)
