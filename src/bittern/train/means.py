"""Loss and accuracy over the training batches of an epoch."""

from dataclasses import dataclass

import torch
from torch import Tensor

from bittern.train.step import StepResult


@dataclass
class EpochMeans:
    """Sums over the images that this process has trained on since the epoch began."""

    loss_sum: float = 0.0
    correct: int = 0
    images: int = 0

    def add(self, step: StepResult) -> None:
        self.loss_sum += step.loss * step.images
        self.correct += step.correct
        self.images += step.images

    @property
    def loss(self) -> float:
        return self.loss_sum / self.images

    @property
    def accuracy(self) -> float:
        return self.correct / self.images

    def to_tensor(self) -> Tensor:
        """The three sums, float64 [3]."""
        return torch.tensor([self.loss_sum, self.correct, self.images], dtype=torch.float64)

    @staticmethod
    def from_tensor(sums: Tensor) -> "EpochMeans":
        loss_sum, correct, images = sums.tolist()
        return EpochMeans(loss_sum, int(correct), int(images))
