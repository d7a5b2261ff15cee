"""``Context``: what every part of a run reads, and none changes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bittern.data import DatasetInfo, ImageSource
from bittern.train.position import Position
from bittern.train.ranks import Ranks
from bittern.train.recipe import MIXED_PRECISIONS, Recipe, Stage


@dataclass(frozen=True)
class Context:
    """A run as it was requested, in this process.

    Attributes:
        train, test: the splits, on the device of the run where they are in memory.
        teacher: for stages with a given teacher: images as the student sees them -> logits [N, classes].
        start: the ``state_dict`` that the first stage starts from instead of random weights.
        identity: what a resumed run must have in common with this one; ``data_identity``: so for its images.

    Raises:
        ValueError: the batch cannot be divided among the processes and passes.
    """

    recipe: Recipe
    seed: int
    folder: Path
    ranks: Ranks
    info: DatasetInfo
    train: ImageSource
    test: ImageSource
    identity: Mapping[str, Any]
    data_identity: Mapping[str, Any]
    teacher: nn.Module | None = None
    start: Mapping[str, Tensor] | None = None

    def __post_init__(self) -> None:
        world, passes = self.ranks.world, self.recipe.accumulate
        total = min(self.recipe.batch_size, len(self.train))
        if total % (world * passes):
            raise ValueError(
                f"batch_size {total} must be a multiple of {world * passes}: {world} processes times {passes} passes "
                f"(accumulate)"
            )

    @property
    def batch_size(self) -> int:
        """Images of a step in this process."""
        return min(self.recipe.batch_size, len(self.train)) // self.ranks.world

    @property
    def batches(self) -> int:
        """Batches of an epoch. Images that do not fill a last one are left out, different ones in each epoch."""
        return len(self.train) // (self.batch_size * self.ranks.world)

    @property
    def classes(self) -> int:
        return len(self.info.class_names)

    @property
    def compute_dtype(self) -> torch.dtype:
        """Of the training's forward passes, and of their input."""
        return MIXED_PRECISIONS[self.recipe.mixed_precision]

    @property
    def weight_dtype(self) -> torch.dtype:
        return torch.promote_types(self.compute_dtype, torch.float32)

    def autocast(self) -> torch.autocast:
        """Around a forward pass of training."""
        mixed = self.compute_dtype != self.weight_dtype
        return torch.autocast(self.ranks.device.type, self.compute_dtype if mixed else None, enabled=mixed)

    def model_options(self, stage: Stage) -> dict[str, Any]:
        """Every keyword of ``bittern.models.create`` for the network of ``stage``."""
        channels, size, _ = self.info.input_shape
        return {
            "num_classes": self.classes,
            "in_channels": channels,
            "image_size": size,
            "precision": stage.precision,
            **self.recipe.model_options,
        }

    def progress(self, at: Position) -> float:
        """Share of the stage done before the step that ``at`` stands before, in [0, 1]."""
        return (at.epoch + at.batch / self.batches) / self.recipe.stages[at.stage].epochs

    def epoch(self, at: Position) -> Iterator[tuple[Tensor, Tensor]]:
        """The remaining batches of the epoch in this process: images uint8 [B, C, H, W] and labels int64 [B].

        Their order depends on (seed, stage, epoch) alone.
        """
        seed = self.derived_seed(at.stage, at.epoch)
        return self.train.epoch(
            batch_size=self.batch_size, seed=seed, rank=self.ranks.rank, world=self.ranks.world, start=at.batch
        )

    def derived_seed(self, *numbers: int) -> int:
        """A seed for the purpose that ``numbers`` stand for, in [0, 2^63)."""
        return int(np.random.SeedSequence((self.seed, *numbers)).generate_state(1, np.uint64)[0] >> np.uint64(1))

    def prepare(self, pixels: Tensor) -> Tensor:
        """What a network sees of uint8 images [N, C, H, W] on the device of the run: float32, channels last."""
        return self.info.preprocessing(pixels).contiguous(memory_format=torch.channels_last)
