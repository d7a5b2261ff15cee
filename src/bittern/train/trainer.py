"""The arithmetic of training: batches, steps, evaluation, and the state that a checkpoint must hold."""

import logging
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bittern.data import Split, get_augmentation, get_dataset
from bittern.models import create
from bittern.optim import decay_groups
from bittern.train.checkpoint import Checkpoint, optimizer_tensors, restore_optimizer
from bittern.train.recipes import MIXED_PRECISIONS, Recipe, Stage

_EVALUATION_BATCH = 500


@dataclass
class Position:
    """Where a run stands: before batch ``batch`` of epoch ``epoch`` of stage ``stage``, each counted from 0.

    ``step`` counts the optimizer's steps since the start of the run, ``seconds`` those of the epoch under way;
    ``history`` has the log's row of every finished epoch.
    """

    stage: int = 0
    epoch: int = 0
    batch: int = 0
    step: int = 0
    seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(value: dict[str, Any]) -> "Position":
        return Position(**{name: value[name] for name in Position.__dataclass_fields__})


class Trainer:
    """Network, optimizer and data of a run.

    ``enter`` starts a stage or ``restore`` puts back a state; then ``step`` is called once for each batch of ``order``.
    The order of an epoch depends on (seed, stage, epoch) alone; augmentation draws from torch's global generator.
    """

    model: nn.Module

    def __init__(self, recipe: Recipe, splits: dict[str, Split], seed: int, accelerator: str) -> None:
        from lightning_fabric import Fabric  # takes seconds to import
        from torchmetrics import MeanMetric
        from torchmetrics.classification import MulticlassAccuracy

        logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it announces mixed precision on stderr
        self._fabric = Fabric(accelerator=accelerator, devices=1, precision=MIXED_PRECISIONS[recipe.mixed_precision])  # type: ignore[arg-type]
        self._recipe = recipe
        self._info = get_dataset(recipe.dataset)
        self._seed = seed
        self._augment = get_augmentation(recipe.augmentation)
        device = self._fabric.device
        self._splits = {name: Split(s.images.to(device), s.labels.to(device)) for name, s in splits.items()}
        classes = len(self._info.class_names)
        self._loss = MeanMetric(nan_strategy="disable").to(device)
        self._accuracy = MulticlassAccuracy(classes, average="micro", validate_args=False).to(device)
        for metric in (self._loss, self._accuracy):
            metric.persistent(True)
        self.batch_size = min(recipe.batch_size, len(self._splits["train"]))
        self.batches = len(self._splits["train"]) // self.batch_size
        """Batches of an epoch; what does not fill a last one is left out, other images each time."""
        self._stage: Stage | None = None

    def model_options(self, stage: Stage) -> dict[str, Any]:
        """Every keyword of ``bittern.models.create`` for the network of ``stage``."""
        channels, size, _ = self._info.input_shape
        return {
            "num_classes": len(self._info.class_names),
            "in_channels": channels,
            "image_size": size,
            "precision": stage.precision,
            **self._recipe.model_options,
        }

    def enter(self, index: int) -> None:
        """Begins stage ``index`` with the weights of the stage before, taken strictly by name, else random ones."""
        stage = self._recipe.stages[index]
        if stage is self._stage:  # a restored run stands in it already
            return
        torch.manual_seed(self._derived_seed(index))
        weights = None if self._stage is None else self.model.state_dict()
        self._build(stage)
        if weights is not None:
            self.model.load_state_dict(weights)
        self._loss.reset()
        self._accuracy.reset()

    def _build(self, stage: Stage) -> None:
        self._stage = stage
        self.model = create(self._recipe.model, **self.model_options(stage)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._optimizer = torch.optim.Adam(decay_groups(self.model, stage.weight_decay), lr=stage.lr, fused=True)
        self._network, self._stepper = self._fabric.setup(self.model, self._optimizer)

    def learning_rate(self, at: Position) -> float:
        """Of the step that ``at`` stands before: linear from ``lr`` at the stage's first to 0 after its last."""
        stage = self._recipe.stages[at.stage]
        done = at.epoch + at.batch / self.batches
        return stage.lr * (1 - done / stage.epochs)

    def order(self, at: Position) -> list[Tensor]:
        """Indices of the training images, a tensor per batch."""
        generator = torch.Generator().manual_seed(self._derived_seed(at.stage, at.epoch))
        shuffled = torch.randperm(len(self._splits["train"]), generator=generator).to(self._fabric.device)
        return list(shuffled[: self.batches * self.batch_size].split(self.batch_size))

    def step(self, indices: Tensor, at: Position) -> float:
        """One optimizer step; returns the loss. If that is not finite, the weights stay."""
        self._network.train()
        train = self._splits["train"]
        images, labels = self._prepare(self._augment(train.images[indices])), train.labels[indices]
        logits = self._network(images)
        loss = F.cross_entropy(logits.float(), labels, label_smoothing=self._recipe.label_smoothing)
        value = loss.item()
        if not np.isfinite(value):
            return value
        for group in self._optimizer.param_groups:
            group["lr"] = self.learning_rate(at)
        self._stepper.zero_grad()
        self._fabric.backward(loss)
        self._stepper.step()
        self._loss.update(loss.detach(), weight=len(labels))
        self._accuracy.update(logits.detach(), labels)
        return value

    def epoch_means(self) -> tuple[float, float]:
        """Loss and accuracy over the training batches since the last ``reset_epoch_means``."""
        return self._loss.compute().item(), self._accuracy.compute().item()

    def reset_epoch_means(self) -> None:
        self._loss.reset()
        self._accuracy.reset()

    @torch.no_grad()
    def evaluate(self) -> tuple[float, float]:
        """Loss and accuracy on the whole test split, in float32 whatever the training used."""
        self.model.eval()
        test = self._splits["test"]
        loss, correct = 0.0, 0
        for images, labels in zip(
            test.images.split(_EVALUATION_BATCH), test.labels.split(_EVALUATION_BATCH), strict=True
        ):
            logits = self.model(self._prepare(images))
            loss += F.cross_entropy(logits, labels, reduction="sum").item()
            correct += int((logits.argmax(1) == labels).sum())
        return loss / len(test), correct / len(test)

    def tensors(self) -> dict[str, Tensor]:
        """Everything that the next step depends on, by flat name."""
        groups: dict[str, dict[str, Tensor]] = {
            "model": self.model.state_dict(),
            "optimizer": optimizer_tensors(self._optimizer),
            "loss": self._loss.state_dict(),
            "accuracy": self._accuracy.state_dict(),
            "random": self._random_states(),
        }
        return {f"{group}.{name}": tensor for group, tensors in groups.items() for name, tensor in tensors.items()}

    def restore(self, saved: Checkpoint) -> Position:
        """Puts back what ``tensors`` returned; the next step is the one that would have come."""
        at = Position.from_json(saved.state)
        self._build(self._recipe.stages[at.stage])
        self.model.load_state_dict(saved.under("model"))
        restore_optimizer(self._optimizer, saved.under("optimizer"))
        self._loss.load_state_dict(saved.under("loss"))
        self._accuracy.load_state_dict(saved.under("accuracy"))
        random = saved.under("random")
        torch.set_rng_state(random["cpu"])
        if "cuda" in random and torch.cuda.is_available():
            torch.cuda.set_rng_state(random["cuda"])
        return at

    def _prepare(self, pixels: Tensor) -> Tensor:
        return self._info.preprocessing(pixels).contiguous(memory_format=torch.channels_last)

    def _random_states(self) -> dict[str, Tensor]:
        states = {"cpu": torch.get_rng_state()}
        if self._fabric.device.type == "cuda":
            states["cuda"] = torch.cuda.get_rng_state()
        return states

    def _derived_seed(self, *numbers: int) -> int:
        return int(np.random.SeedSequence((self._seed, *numbers)).generate_state(1, np.uint64)[0] >> np.uint64(1))
