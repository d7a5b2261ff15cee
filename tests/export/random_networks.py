"""Small random networks from the operators that networks are made of, with and without binary layers.

python tests/export/random_networks.py COUNT [SEED]     # exports and verifies so many, and prints what goes wrong
"""

import random
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bittern.export import ExportError, to_pte, verify
from bittern.export.verify import corpus
from bittern.nn import BinaryConv2d, BinaryLinear, RPReLU, RSign
from bittern.ops import binarize

Draw = random.Random
CHANNELS = (1, 2, 3, 5, 8, 32, 33, 64)
MAX_BATCH = 3


class Step(nn.Module):
    """A function as a module, with a text that says which."""

    def __init__(self, text: str, function: Callable[[Tensor], Tensor], *layers: nn.Module) -> None:
        super().__init__()
        self.text, self.function, self.layers = text, function, nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)

    def extra_repr(self) -> str:
        return self.text


def randomized(norm: nn.Module) -> nn.Module:
    """A BatchNorm as training leaves it, with negative factors too."""
    norm.weight.data.normal_()
    norm.bias.data.normal_()
    norm.running_mean.normal_()  # type: ignore[operator]
    norm.running_var.uniform_(0.5, 2)  # type: ignore[operator]
    return norm


def convolution(draw: Draw, channels: int, size: tuple[int, int]) -> nn.Module:
    kernel, out = draw.choice([1, 3, 3, (3, 1)]), draw.choice(CHANNELS)
    groups = channels if draw.random() < 0.2 else 1
    out = channels * draw.choice([1, 2]) if groups > 1 else out
    kind = draw.choice([nn.Conv2d, nn.Conv2d, BinaryConv2d])
    stride = draw.choice([1, 1, 2]) if min(size) > 2 else 1
    padding = (kernel // 2) if isinstance(kernel, int) else (1, 0)
    layer: nn.Module = kind(channels, out, kernel, stride, padding, groups=groups, bias=draw.random() < 0.5)
    return layer


def residual(draw: Draw, channels: int, _: object) -> nn.Module:
    layer = draw.choice([nn.Conv2d, BinaryConv2d])(channels, channels, 3, padding=1, bias=False)
    return Step("x + layer(x)", lambda x: x + layer(x), layer)


def joined(draw: Draw, channels: int, _: object) -> nn.Module:
    layer = draw.choice([nn.Conv2d, BinaryConv2d])(channels, draw.choice(CHANNELS), 1)
    return Step("cat", lambda x: torch.cat([x, layer(x)], 1), layer)


def gated(draw: Draw, channels: int, _: object) -> nn.Module:
    layer = nn.Conv2d(channels, channels, 1)
    return Step("gate", lambda x: x * torch.sigmoid(layer(x.mean((2, 3), keepdim=True))), layer)


def pooled(draw: Draw, _: int, size: tuple[int, int]) -> nn.Module:
    if min(size) < 3:
        return nn.Identity()
    pools = (nn.MaxPool2d(2, ceil_mode=True), nn.MaxPool2d(3, 2, 1), nn.AvgPool2d(2), nn.AvgPool2d(3, 1, 1))
    return draw.choice(pools)


def resized(draw: Draw, *_: object) -> nn.Module:
    factor = draw.choice([0.5, 1.5, 2.0])
    return Step(f"bilinear {factor}", lambda x: F.interpolate(x, scale_factor=factor, mode="bilinear"))


def padded(draw: Draw, *_: object) -> nn.Module:
    widths, value = [draw.randint(0, 2) for _ in range(4)], draw.choice([0.0, 1.0, -1.0, 0.5])
    return Step(f"pad {widths} {value}", lambda x: F.pad(x, widths, value=value))


def sliced(draw: Draw, channels: int, _: object) -> nn.Module:
    start = draw.randrange(channels)
    end = draw.randint(start + 1, channels)
    return Step(f"[:, {start}:{end}]", lambda x: x[:, start:end])


def shuffled(_: Draw, channels: int, __: object) -> nn.Module:
    groups = 2 if channels % 2 == 0 else 1
    return Step(
        f"shuffle {groups}", lambda x: x.unflatten(1, (groups, -1)).transpose(1, 2).flatten(1, 2) if groups > 1 else x
    )


def normalized(_: Draw, channels: int, __: object) -> nn.Module:
    norm = nn.LayerNorm(channels)
    return Step("LayerNorm of channels", lambda x: norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), norm)


ACTIVATIONS: tuple[Callable[[], nn.Module], ...] = (
    *(nn.ReLU, nn.ReLU6, nn.Hardtanh, nn.Sigmoid, nn.Tanh, nn.SiLU, nn.GELU, nn.Hardswish, nn.LeakyReLU, nn.ELU),
    lambda: nn.GELU(approximate="tanh"),
    lambda: nn.Hardtanh(-0.5, 1.0),
    lambda: Step("alpha", lambda x: torch.add(x, F.relu(x), alpha=2)),
    lambda: Step("clamp", lambda x: x.clamp(max=0.7)),
    lambda: Step("affine", lambda x: (x * 3 - 1) / 2),
    lambda: Step("signs", binarize),
)


def activation(draw: Draw, *_: object) -> nn.Module:
    return draw.choice(ACTIVATIONS)()


IMAGE_STEPS: tuple[Callable[[Draw, int, tuple[int, int]], nn.Module], ...] = (
    *(convolution,) * 4,
    *(activation,) * 4,
    *(pooled, resized, padded, sliced, shuffled, normalized, residual, joined, gated),
    lambda draw, channels, size: randomized(nn.BatchNorm2d(channels)),
    lambda draw, channels, size: nn.PReLU(draw.choice([1, channels])),
    lambda draw, channels, size: RSign(channels),
    lambda draw, channels, size: RPReLU(channels),
)
ROW_STEPS: tuple[Callable[[Draw, int], nn.Module], ...] = (
    lambda draw, features: nn.Linear(features, draw.choice([3, 10, 32])),
    lambda draw, features: BinaryLinear(features, draw.choice([3, 10, 32])),
    lambda draw, features: nn.LayerNorm(features),
    lambda draw, features: nn.Softmax(-1),
    lambda draw, features: randomized(nn.BatchNorm1d(features)),
    lambda draw, features: activation(draw),
)


def network(seed: int) -> tuple[nn.Module, Tensor, int | None]:
    """A network, an example of its input, and the largest batch to export it for."""
    draw = Draw(seed)
    torch.manual_seed(seed)
    example = torch.randn(1, draw.choice([1, 1, 2, 3, 3, 5]), draw.randint(4, 9), draw.randint(4, 9))
    steps: list[nn.Module] = []
    x = example
    for _ in range(draw.randint(2, 8)):
        step = draw.choice(IMAGE_STEPS)(draw, x.shape[1], (x.shape[2], x.shape[3])).eval()
        x = step(x).detach()
        steps.append(step)
    if draw.random() < 0.6:
        steps.append(draw.choice([nn.Flatten(), Step("mean", lambda x: x.mean((2, 3)))]))
        x = steps[-1](x)
        for _ in range(draw.randint(1, 3)):
            steps.append(draw.choice(ROW_STEPS)(draw, x.shape[1]).eval())
            x = steps[-1](x).detach()
    return nn.Sequential(*steps).eval(), example, draw.choice([None, None, MAX_BATCH])


def fault(seed: int, folder: Path) -> str | None:
    """What is wrong with the file of a network; None if nothing is, and "refused: ..." if there is no file."""
    module, example, max_batch = network(seed)
    path = folder / f"{seed}.pte"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            to_pte(module, example, path, max_batch=max_batch)
        except ExportError as error:
            return f"refused: {error}"
    shape = tuple(example.shape[1:])
    for kind, count in ((corpus.NORMAL, 7), (corpus.SMOOTH, 4)):
        result = verify(module, path, corpus.images(kind, count, shape)[1:])
        if not result.passed:
            worst = max(result.logit_margin, *(layer.margin for layer in result.layers), 0.0)
            return f"{kind} images differ by {worst:.2g} of the largest value"
    return None


def main(count: int, first: int) -> int:
    found = refused = 0
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(first, first + count):
            try:
                text = fault(seed, Path(folder))
            except Exception as error:
                text = f"{type(error).__name__}: {error}"
            if text is not None:
                refused += text.startswith("refused")
                found += not text.startswith("refused")
                print(seed, text, flush=True)
    print(f"{count} networks: {found} wrong, {refused} refused")
    return min(found, 1)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0))
