"""What a node does to each channel by itself: constants per channel, affine maps."""

from dataclasses import dataclass

import torch
from torch import Tensor, fx

from bittern.export.graph import Graph, shape
from bittern.export.passes.views import Arithmetic, BatchNorm


def per_channel(constant: Tensor | None, like: fx.Node, channel_dim: int) -> Tensor | None:
    """A constant that broadcasts to one number per channel of ``like`` as float64 ``[C]``; None for any other."""
    if constant is None or not constant.is_floating_point():
        return None
    target = [1] * len(shape(like))
    target[channel_dim] = shape(like)[channel_dim]
    try:
        fits = list(torch.broadcast_shapes(constant.shape, target)) == target
    except RuntimeError:
        return None
    return constant.double().expand(target).flatten() if fits else None


@dataclass(frozen=True)
class ChannelAffine:
    """``input * factor + addend`` for each channel by itself: float64 ``[C]``; None: a factor of 1, an addend of 0.

    BatchNorm, and sums, differences, products and quotients with a constant per channel.
    """

    input: fx.Node
    factor: Tensor | None
    addend: Tensor | None

    @property
    def is_finite(self) -> bool:
        return all(bool(torch.isfinite(v).all()) for v in (self.factor, self.addend) if v is not None)

    @staticmethod
    def match(graph: Graph, node: fx.Node, channel_dim: int) -> "ChannelAffine | None":
        if (norm := BatchNorm.match(node)) is not None:
            # It normalises dimension 1, which is the channels of images and of plain rows.
            return ChannelAffine(norm.input, *norm.affine(graph)) if _is_dimension_1(channel_dim, node) else None
        step = Arithmetic.match(graph, node)
        value = None if step is None else per_channel(step.value, node, channel_dim)
        return None if step is None or value is None else ChannelAffine(step.input, *step.affine(value))


def _is_dimension_1(channel_dim: int, node: fx.Node) -> bool:
    return channel_dim % len(shape(node)) == 1
