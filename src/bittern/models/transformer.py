"""A vision Transformer with binary linear layers: tokens instead of images, through the same exporter.

    attend(x) = x + O(softmax(Q K^T / sqrt(d)) V),   Q, K, V = linear(sign(LayerNorm(x))),   O = linear(sign(.))
    expand(x) = x + linear(sign(LayerNorm(linear(sign(LayerNorm(x))))))               four times as wide between
    block(x)  = expand(attend(x))

Every binary linear layer is scaled by mean |W| per output. Patches, positions, the attention itself and the classifier
are real. LayerNorm's offset is the threshold of the sign behind it.

Dosovitskiy et al. 2020, An Image is Worth 16x16 Words, arXiv:2010.11929, for the skeleton; Liu et al. 2022, BiT,
arXiv:2205.13016, for binary linear layers with mean |W|, which binarizes the attention too.
"""

from functools import partial

import torch
from torch import Tensor, nn

from bittern.models.parts import binary_linear
from bittern.models.precision import Precision, check_precision
from bittern.models.registry import Facts, register_model

_linear = partial(binary_linear, bias=True, scale="mean")


class Attention(nn.Module):
    """Tokens [N, T, width] -> the same shape."""

    def __init__(self, width: int, heads: int, precision: Precision) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (
            _linear(width, width, precision, real_activation="none") for _ in range(4)
        )

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (self._split(layer(x)) for layer in (self.query, self.key, self.value))
        weights = (query @ key.transpose(-2, -1) * query.shape[-1] ** -0.5).softmax(-1)
        y: Tensor = self.out((weights @ value).transpose(1, 2).flatten(2))
        return y

    def _split(self, x: Tensor) -> Tensor:
        """[N, T, width] -> [N, heads, T, width / heads]."""
        y: Tensor = x.unflatten(2, (self.heads, -1)).transpose(1, 2)
        return y


class TransformerBlock(nn.Module):
    """Tokens [N, T, width] -> the same shape."""

    def __init__(self, width: int, heads: int, precision: Precision) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attention = Attention(width, heads, precision)
        self.expand = nn.Sequential(
            nn.LayerNorm(width),
            _linear(width, 4 * width, precision, real_activation="none"),
            nn.LayerNorm(4 * width),
            _linear(4 * width, width, precision),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm(x))
        y: Tensor = x + self.expand(x)
        return y


@register_model(
    "digits-transformer",
    num_classes=10,
    in_channels=1,
    image_size=8,
    description="two Transformer blocks of binary linear layers for 8x8 grey digits",
    source="Vision Transformer (arXiv:2010.11929) with the linear layers of BiT (arXiv:2205.13016)",
    facts=Facts(103_114, 98_304, 1_572_864, 70_272),
)
class BinaryTransformer(nn.Module):
    """Images [N, in_channels, image_size, image_size] -> logits [N, num_classes].

    Args:
        patch: side of the squares that become tokens; divides ``image_size``.
        width: numbers per token; a multiple of ``heads``.
        depth: blocks.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        image_size: int,
        *,
        patch: int = 2,
        width: int = 64,
        depth: int = 2,
        heads: int = 2,
        precision: Precision = "binary",
    ) -> None:
        check_precision(precision)
        for name, value in {"patch": patch, "width": width, "depth": depth, "heads": heads}.items():
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if image_size % patch:
            raise ValueError(f"image_size must be a multiple of the patch, {patch}, got {image_size}")
        if width % heads:
            raise ValueError(f"width must be a multiple of the heads, {heads}, got {width}")
        super().__init__()
        self.patches = nn.Conv2d(in_channels, width, patch, patch)
        self.position = nn.Embedding((image_size // patch) ** 2, width)
        self.blocks = nn.Sequential(*(TransformerBlock(width, heads, precision) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.classifier = nn.Linear(width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2) + self.position.weight
        logits: Tensor = self.classifier(torch.mean(self.norm(self.blocks(tokens)), 1))
        return logits
