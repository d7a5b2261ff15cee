"""Small networks of the kinds that have several inputs or outputs, or others than floats; each with an example."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bittern.export.signature import Example
from bittern.nn import BinaryConv2d, BinaryLinear

VOCABULARY, TOKENS, CLASSES = 19, 6, 3


def block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(BinaryConv2d(inputs, outputs, 3, padding=1, stride=stride), nn.BatchNorm2d(outputs))


@dataclass
class Detections:
    boxes: Tensor
    scores: Tensor
    maps: list[Tensor]
    anchors: Tensor


class Detector(nn.Module):
    """An SSD-like head on two scales: boxes and scores of each anchor, the maps, and the constant anchors."""

    anchors: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.fine, self.coarse = nn.Conv2d(3, 32, 3, padding=1), block(32, 32), block(32, 64, stride=2)
        self.boxes = nn.ModuleList(nn.Conv2d(c, 2 * 4, 1) for c in (32, 64))
        self.classes = nn.ModuleList(nn.Conv2d(c, 2 * CLASSES, 1) for c in (32, 64))
        self.register_buffer("anchors", torch.rand(2 * (8 * 6 + 4 * 3), 4))

    def forward(self, image: Tensor) -> Detections:
        fine = self.fine(self.stem(image))
        maps = [fine, self.coarse(fine)]
        boxes = [_rows(head(each), 4) for head, each in zip(self.boxes, maps, strict=True)]
        scores = [_rows(head(each), CLASSES).softmax(-1) for head, each in zip(self.classes, maps, strict=True)]
        return Detections(torch.cat(boxes, 1), torch.cat(scores, 1), maps, self.anchors)


def _rows(x: Tensor, size: int) -> Tensor:
    return x.permute(0, 2, 3, 1).reshape(x.shape[0], -1, size)


class Segmenter(nn.Module):
    """U-Net-like: down, up again in two ways, joined with the finer maps; a float image and the class of each pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.down, self.deep = nn.Conv2d(1, 32, 3, padding=1), block(32, 64, stride=2), block(64, 64)
        self.up, self.join = nn.ConvTranspose2d(64, 32, 2, stride=2), block(64 + 64, 32)
        self.head = nn.Conv2d(32, CLASSES, 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        fine = self.stem(x)
        deep = self.deep(self.down(fine))
        resized = F.interpolate(deep, scale_factor=2.0, mode="bilinear")
        logits = self.head(self.join(torch.cat([fine, self.up(deep), resized], 1)))
        return {"logits": logits, "classes": logits.argmax(1)}


class Encoder(nn.Module):
    """A Transformer's encoder on token ids, with binary linear layers and a mask of the tokens to read."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(VOCABULARY, width), nn.Parameter(torch.randn(TOKENS, width))
        self.qkv, self.out = BinaryLinear(width, 3 * width), BinaryLinear(width, width)
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, CLASSES)

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        x = self.tokens(ids) + self.places
        q, k, v = self.qkv(x).chunk(3, -1)
        scores = q @ k.transpose(1, 2) * 0.02
        weights = scores.masked_fill(~mask[:, None, :], -1e4).softmax(-1)
        x = self.norm(x + self.out(weights @ v))
        return self.head(x[:, 0]), weights


class ImageAndFacts(nn.Module):
    """A network of an image and a vector of what else is known of it."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.body, self.head = nn.Conv2d(3, 32, 3, padding=1), block(32, 32), nn.Linear(32 + 5, CLASSES)

    def forward(self, image: Tensor, *, facts: Tensor) -> Tensor:
        logits: Tensor = self.head(torch.cat([self.body(self.stem(image)).mean((2, 3)), facts], 1))
        return logits


def _ids(batch: int) -> Tensor:
    """All of the vocabulary."""
    return (torch.arange(batch * TOKENS) * 7 % VOCABULARY).view(batch, TOKENS)


def _mask(batch: int) -> Tensor:
    return torch.arange(batch * TOKENS).view(batch, TOKENS) % 4 != 3


NETWORKS: dict[str, tuple[type[nn.Module], Callable[[int], Example]]] = {
    "detector": (Detector, lambda batch: torch.randn(batch, 3, 8, 6)),
    "segmenter": (Segmenter, lambda batch: torch.randn(batch, 1, 8, 6)),
    "encoder": (Encoder, lambda batch: (_ids(batch), _mask(batch))),
    "image and facts": (
        ImageAndFacts,
        lambda batch: {"image": torch.randn(batch, 3, 8, 6), "facts": torch.randn(batch, 5)},
    ),
}
"""Name -> class, and an example of so many images."""


def network(name: str) -> tuple[nn.Module, Callable[[int], Example]]:
    """The network of that name with statistics as after training, and its examples."""
    kind, example = NETWORKS[name]
    torch.manual_seed(0)
    net = kind()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.bias)
            nn.init.normal_(module.running_mean)  # type: ignore[arg-type]
    return net.eval(), example


class Function(nn.Module):
    """A function of named inputs as a module: the parameters of ``function`` are those of `forward`."""

    def __init__(self, function: Callable[..., object]) -> None:
        super().__init__()
        self.forward = function
