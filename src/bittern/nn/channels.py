"""Values per channel: how they broadcast, and the scales by which binary layers multiply their output."""

from typing import Literal, get_args

from torch import Tensor

from bittern.nn.straight_through import straight_through

Scale = Literal["none", "mean", "mean_forward", "layer_mean", "power_of_two", "learned"]
SCALES: tuple[str, ...] = get_args(Scale)


def check_scale(scale: str) -> None:
    """ValueError unless ``scale`` is one of ``SCALES``."""
    if scale not in SCALES:
        raise ValueError(f"scale must be one of {', '.join(map(repr, SCALES))}, got {scale!r}")


def mean_magnitude(weight: Tensor) -> Tensor:
    """mean |W| over each filter, [O]; a constant for the backward pass.

    It minimises ||W - a * sign(W)||^2 per filter (Rastegari et al. 2016, XNOR-Net, arXiv:1603.05279, eq. 6).
    """
    return weight.detach().abs().flatten(1).mean(1)


def output_scale(kind: str, weight: Tensor, learned: Tensor | None, *, binarized: bool) -> Tensor | None:
    """The factor of a binary layer's outputs, [O]; None for 1. The means exist for binarized weights only.

    ``weight``: the real weights that the layer binarizes.
    """
    match kind:
        case "mean" | "mean_forward":
            return mean_magnitude(weight) if binarized else None
        case "layer_mean":
            return weight.detach().abs().mean().expand(len(weight)) if binarized else None
        case "power_of_two":
            return mean_magnitude(weight).log2().round().exp2() if binarized else None
    return learned


def scale_in_front(kind: str, weight: Tensor, scale: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """``weight`` [O, ...] and the ``scale`` [O] or None that remains for the outputs.

    ``"mean_forward"`` is multiplied into the weights, whose gradient ignores it.
    """
    if kind != "mean_forward" or scale is None:
        return weight, scale
    return straight_through(weight, weight * scale.view(-1, *[1] * (weight.dim() - 1))), None


def per_channel(values: Tensor, like: Tensor) -> Tensor:
    """``values`` [C] in the dtype of ``like`` [N, C, ...], as a view that broadcasts along its dimension 1."""
    if values.dtype != like.dtype:  # under autocast: float32 parameters would lift the activations to float32
        values = values.to(like.dtype)
    return values.view(-1, *[1] * (like.dim() - 2))
