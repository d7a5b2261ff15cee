"""BNext: ReActNet's skeleton, with a gate, a product or two shortcuts around every binary convolution.

    h(x)         = PReLU(BatchNorm(conv(RSign(x))))
    process(x)   = h * Gate(mix * x + (1 - mix) * h)                              mix: learned, per channel
    attention(x) = BatchNorm(process(x) * r) + r,   r = PReLU(x)
    forward(x)   = BatchNorm(process(x)) + x

A block is ``forward``, in every other block ``attention``, with a 3x3 convolution, followed by ``forward`` with a 1x1
convolution. Where the 3x3 convolution halves the image, the other terms are 2x2 means. Where the block doubles the
channels, two such 1x1 halves are concatenated. Stem and classifier are real; a PReLU precedes the pooling.

Guo et al. 2022, Join the High Accuracy Club on ImageNet, arXiv:2211.12933. Unused PReLUs of the
authors' code are omitted. Clipping ``mix`` to [0, 1] and latent weights to [-1.5, 1.5] is left to the training loop.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bittern.models.parts import SMALL, ImageClassifier, conv_of_signs, copies_of, doubling_stages, threshold
from bittern.models.precision import Precision
from bittern.models.registry import IMAGENET, Facts, register_model
from bittern.nn import Gate
from bittern.nn.channels import per_channel


class BNextUnit(nn.Module):
    """[N, channels, H, W] -> [N, channels, ceil(H / stride), ceil(W / stride)].

    Args:
        attention: ``attention`` instead of ``forward``.
    """

    def __init__(
        self, channels: int, kernel_size: int, stride: int, precision: Precision, *, attention: bool = False
    ) -> None:
        super().__init__()
        self.pool = nn.Identity() if stride == 1 else nn.AvgPool2d(stride, ceil_mode=True)
        self.sign = threshold(channels, precision, estimator="ste_1.5")
        self.conv = conv_of_signs(
            channels,
            channels,
            kernel_size,
            precision,
            stride=stride,
            padding=kernel_size // 2,
            weight_estimator="identity",
        )
        self.norm = nn.BatchNorm2d(channels)
        self.activation = nn.PReLU(channels)
        self.mix = nn.Parameter(torch.full((channels,), 0.5))
        self.gate = Gate(channels, channels, bias=True)
        self.factor = nn.PReLU(channels) if attention else None
        self.last_norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        h = self.activation(self.norm(self.conv(self.sign(x))))
        mix = per_channel(self.mix, h)
        pooled = self.pool(x)
        y = h * self.gate(mix * pooled + (1 - mix) * h)
        if self.factor is not None:
            pooled = self.pool(self.factor(x))
            y = y * pooled
        result: Tensor = self.last_norm(y) + pooled
        return result


class BNextBlock(nn.Module):
    """[N, in_channels, H, W] -> [N, out_channels, ceil(H / stride), ceil(W / stride)]; as many channels or twice."""

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, precision: Precision, *, attention: bool
    ) -> None:
        copies = copies_of(in_channels, out_channels)
        super().__init__()
        self.spatial = BNextUnit(in_channels, 3, stride, precision, attention=attention)
        self.pointwise = nn.ModuleList(BNextUnit(in_channels, 1, 1, precision) for _ in range(copies))

    def forward(self, x: Tensor) -> Tensor:
        y = self.spatial(x)
        parts = [unit(y) for unit in self.pointwise]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


@register_model(
    "bnext-t",
    **IMAGENET,
    description="13 blocks of a binary 3x3 and one or two binary 1x1 convolutions, with gates computed from the image",
    source="BNext (arXiv:2211.12933)",
    facts=Facts(30_853_276, 28_253_184, 4_816_896_000, 13_344_512, 72.4, "ImageNet, the authors' code"),
)
class BNext(ImageClassifier):
    """Images [N, in_channels, H, W] -> logits [N, num_classes].

    Args:
        widths: channels of the stem and of each block; a block that doubles them halves the image, the first excepted.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        image_size: int,
        *,
        widths: Sequence[int] = (32, 64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024),
        precision: Precision = "binary",
    ) -> None:
        rows = list(doubling_stages(widths))
        stride = 1 if image_size < SMALL else 2
        convolution = nn.Conv2d(in_channels, widths[0], 3, stride, padding=1, bias=False)
        super().__init__(
            nn.Sequential(convolution, nn.BatchNorm2d(widths[0])),
            (BNextBlock(*row, precision, attention=index % 2 == 1) for index, row in enumerate(rows)),
            widths[-1],
            num_classes,
            activation=nn.PReLU(widths[-1]),
        )
