"""The rules of the diagnosis: what stands out, from which threshold on, and what to try."""

from dataclasses import dataclass
from typing import Literal

_ADAMBNN = "Liu et al. 2021, AdamBNN, arXiv:2106.11309"
_OVSW = "Xiang et al. 2024, OvSW, arXiv:2407.05257"
_BOP = "Helwegen et al. 2019, Bop, arXiv:1906.02107"
_OURS = "threshold: ours"

FF_PER_STEP = "ff_step"
"""The flip-flop ratio of every step, of all weights: ``StudyData.ff`` instead of a measure of the samples."""


@dataclass(frozen=True)
class Limit:
    """Of a measure, in a layer."""

    measure: str
    side: Literal["above", "below"]
    threshold: float

    def __str__(self) -> str:
        return f"{self.measure} {'>' if self.side == 'above' else '<'} {self.threshold:g}"


@dataclass(frozen=True)
class Rule:
    """Applies to a layer whose measure is beyond ``limit`` at the end of the run.

    Args:
        says: the sentence; {layer}, {value} (in percent, or as it is with {number}), {since}, {others}.
        weights: which runs it is for.
        total: the mean over the layers is judged instead of each layer.
        continued: only where the last stage started from the weights of another.
        min_steps: of the last stage; in a shorter one the measure says nothing yet.
    """

    name: str
    limit: Limit
    says: str
    advice: str
    source: str
    weights: Literal["any", "latent", "latent-free"] = "any"
    total: bool = False
    continued: bool = False
    kind: Literal["problem", "note"] = "problem"
    min_steps: int = 0


_FLIPPED_ONCE = 1000
"""Steps after which a sign has flipped once in the mean, at the 1e-3 flips a step that a training starts with: chance
alone leaves a share of 1/e = 37 % without a flip then, and nearly all of them before."""

RULES = (
    Rule(
        "saturated activations",
        Limit("saturation", "above", 0.42),
        "{value} of what enters the sign of {layer} lies beyond 1, where ste and approx_sign pass no gradient, "
        "{since}{others}.",
        "Adam's second moment revives saturated activations: SGD ended at 38.6 %, Adam at 23.8 %. Put BatchNorm in "
        "front of the sign, or a learned threshold (RSign); try an estimator with a wider range (ste_1.25, ste_1.5).",
        f"{_ADAMBNN}, figure 3: 42.5 % with SGD after an epoch",
    ),
    Rule(
        "dead channels",
        Limit("dead_channels", "above", 0.10),
        "{value} of the channels that enter the sign of {layer} have the same sign for every image, {since}{others}.",
        "They carry no information. If they are all, what stands in front of the sign is never negative, such as a "
        "ReLU: docs/binary.md. A learned threshold per channel (RSign), a lower learning rate, or Adam instead of SGD "
        "bring channels back.",
        f"{_ADAMBNN}, section 3.2; {_OURS}",
    ),
    Rule(
        "dead weights",
        Limit("dead_weights", "above", 0.30),
        "No gradient reaches {value} of the weights of {layer}, {since}{others}.",
        "Latent weights beyond 1 and saturated activations block it. Clip latent weights to [-1, 1], or use a weight "
        "estimator that passes everywhere (identity).",
        f"{_ADAMBNN}, section 3.2.3; {_OURS}",
    ),
    Rule(
        "blocked latent weights",
        Limit("beyond_one", "above", 0.20),
        "{value} of the latent weights of {layer} lie beyond 1, where ste and approx_sign pass them no gradient, "
        "{since}{others}.",
        "With these estimators only decay and momentum still move them. Clip latent weights after each step, lower the "
        "learning rate, or let weights decay in the first step of two.",
        f"Courbariaux et al. 2016, arXiv:1602.02830, section 1.3; {_OURS}",
        weights="latent",
    ),
    Rule(
        "restless signs",
        Limit(FF_PER_STEP, "above", 2.33e-3),
        "A step still flips {number} of all signs, {since}.",
        "That is more than with the worst decay of the paper's table. Lower the learning rate to 0 towards the end, "
        "and the weight decay too, to 0 in the second step of two.",
        f"{_ADAMBNN}, table 1: 2.33e-3 with weight decay 1e-5",
        weights="latent",
        total=True,
        min_steps=_FLIPPED_ONCE,
    ),
    Rule(
        "flips do not settle",
        Limit(FF_PER_STEP, "above", 1e-3),
        "A step still flips {number} of all signs, {since}.",
        "gamma is too high or the threshold too low. Let gamma fall (by 10 every fifth of the training), or raise the "
        "threshold.",
        f"{_BOP}, section 5.1 and figure 1; {_OURS}",
        weights="latent-free",
        total=True,
        min_steps=_FLIPPED_ONCE,
    ),
    Rule(
        "lost initialization",
        Limit("c2i_stage", "below", 0.55),
        "Only {value} of the signs are still those that the stage started with (50 %: unrelated), {since}.",
        "What the previous stage learned is lost. Without weight decay in the second step more of it stays: 66 % in "
        "the paper's best scheme.",
        f"{_ADAMBNN}, table 1: 0.48 to 0.52 in one step, 0.63 to 0.66 in two",
        total=True,
        continued=True,
    ),
    Rule(
        "frozen signs",
        Limit("c2i_stage", "above", 0.95),
        "{value} of the signs are still those that the stage started with.",
        "The weights hardly train. Raise the learning rate, start from smaller latent weights, or (Bop) lower the "
        "threshold; negative weight decay also causes this.",
        f"{_ADAMBNN}, table 1: 0.974 and 26 % accuracy with weight decay -1e-4",
        total=True,
        min_steps=_FLIPPED_ONCE,
    ),
    Rule(
        "silent weights",
        Limit("silent", "above", 0.50),
        "{value} of the signs of {layer} have not changed once since the stage began{others}.",
        "Scale the gradients of such filters up (OvSW's adaptive gradient scaling), or let silent weights decay.",
        f"{_OVSW}: more than half of the weights in plain training",
        kind="note",
        min_steps=_FLIPPED_ONCE,
    ),
    Rule(
        "oscillating weights",
        Limit("oscillating", "above", 0.05),
        "{value} of the signs of {layer} flip back and forth, {since}{others}.",
        "Their weights sit near zero. Lower the learning rate faster, or freeze them.",
        f"Nagel et al. 2022, arXiv:2203.11086; {_OURS}",
    ),
    Rule(
        "far from binary",
        Limit("quantization_error", "above", 0.45),
        "One scale and signs miss {value} of the squared norm of the filters of {layer}, {since}{others}.",
        "Normally distributed weights miss 36 %: here a few large weights dominate their filters. Clip or standardize "
        "latent weights.",
        f"Rastegari et al. 2016, XNOR-Net, arXiv:1603.05279, eq. 2-6; {_OURS}",
        weights="latent",
    ),
    Rule(
        "misleading gradients",
        Limit("agreement", "below", 0.10),
        "Along the gradient of {layer} the smoothed loss falls {number} times as fast as the gradient predicts, "
        "{since}{others}.",
        "Try an estimator closer to the sign (approx_sign), or one that sharpens during training (IR-Net's, ReSTE).",
        _OURS,
        weights="latent",
    ),
)
