"""A network of your own, and a recipe that trains it on a folder of images."""

from torch import Tensor, nn

from bittern.models import register_model
from bittern.nn import BinaryConv2d
from bittern.train import Recipe, Stage, register_recipe


class Block(nn.Module):
    """A binary layer with a shortcut around it, which keeps real values flowing from block to block."""

    def __init__(self, width: int, binary: bool) -> None:
        super().__init__()
        self.conv = BinaryConv2d(width, width, 3, padding=1, binarize_weight=binary)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.norm(self.conv(x))


@register_model("mine", num_classes=10, in_channels=3, image_size=32, description="four binary layers", source="mine")
class Mine(nn.Sequential):
    """The first and the last layer are real. Keyword-only arguments are options: ``--set model.width=64``."""

    def __init__(
        self, num_classes: int, in_channels: int, image_size: int, *, width: int = 32, precision: str = "binary"
    ) -> None:
        blocks = [Block(width, precision == "binary") for _ in range(4)]
        stem = nn.Sequential(nn.Conv2d(in_channels, width, 3, stride=2, padding=1), nn.BatchNorm2d(width))
        head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, num_classes))
        super().__init__(stem, *blocks[:2], nn.MaxPool2d(2), *blocks[2:], head)


register_recipe(
    Recipe(
        "mine",
        dataset="images",
        model="mine",
        image_size=32,
        batch_size=32,
        augmentation="flip-jitter",
        stages=(
            Stage("step1", "binary_activations", epochs=10, lr=2e-3, weight_decay=5e-6),
            Stage("step2", "binary", epochs=10, lr=2e-3),
        ),
        description="binary activations first, then binary weights too",
        source="mine",
        expected="depends on the images",
    )
)
