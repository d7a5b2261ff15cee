"""The arithmetic of training: batches, steps, evaluation, and the state that a checkpoint must hold."""

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, update_bn

from bittern.data import Dataset, Split, cutmix, get_augmentation, mixup
from bittern.models import create
from bittern.nn import SyncedBatchNorm, set_progress
from bittern.optim.flips import FlipCounter, centred_weights
from bittern.train import weights
from bittern.train.checkpoint import Checkpoint
from bittern.train.divergence import all_finite, first_broken_layer, not_finite
from bittern.train.losses import Features, attention_loss, distribution_loss
from bittern.train.observer import Observer
from bittern.train.optimizers import binary_weights, build_optimizer, learning_rate
from bittern.train.ranks import Ranks
from bittern.train.recipe import Recipe, Stage

_EVALUATION_BATCH = 500
_AVERAGE_BATCHES = 50
"""At most so many training batches give the average of the weights its BatchNorm statistics."""
_AVERAGE_SEED = 1 << 20
"""Stands for the number of a stage in the seeds of those batches."""
_DIVERGED = 1000.0
"""A loss this many times that of a guess, ln(classes), is divergence."""


@dataclass
class Position:
    """Where a run stands: before batch ``batch`` of epoch ``epoch`` of stage ``stage``, each counted from 0.

    ``step`` counts the optimizer's steps since the start of the run, ``seconds`` those of the epoch under way and
    ``waited`` the part of them spent waiting for data; ``history`` has the log's row of every finished epoch.
    """

    stage: int = 0
    epoch: int = 0
    batch: int = 0
    step: int = 0
    seconds: float = 0.0
    waited: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(value: dict[str, Any]) -> "Position":
        return Position(**{name: value[name] for name in Position.__dataclass_fields__})


class Trainer:
    """Network, optimizer and data of a run, in this process.

    ``enter`` starts a stage or ``restore`` puts back a state; then ``step`` is called once for each batch of
    ``batches``. The order of an epoch depends on (seed, stage, epoch) alone; augmentation draws from torch's global
    generator, another stream in each process.

    Args:
        teacher: for stages that learn from a given network. It sees the student's input.
        initial: a ``state_dict`` to start the first stage from instead of random weights.
    """

    model: nn.Module

    def __init__(
        self,
        recipe: Recipe,
        dataset: Dataset,
        seed: int,
        ranks: Ranks,
        teacher: nn.Module | None = None,
        initial: Mapping[str, Tensor] | None = None,
        observers: Sequence[Observer] = (),
        folder: Path | None = None,
    ) -> None:
        from torchmetrics import MeanMetric  # takes seconds to import
        from torchmetrics.classification import MulticlassAccuracy

        self._recipe, self._info, self._seed, self._ranks = recipe, dataset.info, seed, ranks
        self._initial, self._observers, self._folder = initial, observers, folder or Path()
        self._augment = get_augmentation(recipe.augmentation)
        self._classes = len(dataset.info.class_names)
        self._train, self._test = (
            s.to(ranks.device) if isinstance(s, Split) else s for s in (dataset.splits["train"], dataset.splits["test"])
        )
        self._loss = MeanMetric(nan_strategy="disable", sync_on_compute=False).to(ranks.device)
        self._accuracy = MulticlassAccuracy(
            self._classes, average="micro", validate_args=False, sync_on_compute=False
        ).to(ranks.device)
        for metric in (self._loss, self._accuracy):
            metric.persistent(True)
        self.batch_size = self._part_of_batch(min(recipe.batch_size, len(self._train)))
        """Images of a step in this process."""
        self.batches = len(self._train) // (self.batch_size * ranks.world)
        """Batches of an epoch; what does not fill a last one is left out, other images each time."""
        if ranks.sharded and recipe.ema:
            raise ValueError("ema must be 0 under strategy 'fsdp': no process holds the whole network")
        self._given_teacher = None if teacher is None else teacher.to(ranks.device).eval().requires_grad_(False)
        self._teacher: nn.Module | None = None
        self._stage: Stage | None = None
        self._features = contextlib.ExitStack()

    def _part_of_batch(self, batch_size: int) -> int:
        parts = self._ranks.world * self._recipe.accumulate
        if batch_size % parts:
            raise ValueError(
                f"batch_size {batch_size} must be a multiple of {parts}: {self._ranks.world} processes times "
                f"{self._recipe.accumulate} passes (accumulate)"
            )
        return batch_size // self._ranks.world

    def model_options(self, stage: Stage) -> dict[str, Any]:
        """Every keyword of ``bittern.models.create`` for the network of ``stage``."""
        channels, size, _ = self._info.input_shape
        return {
            "num_classes": self._classes,
            "in_channels": channels,
            "image_size": size,
            "precision": stage.precision,
            **self._recipe.model_options,
        }

    def enter(self, at: Position) -> None:
        """Begins stage ``at.stage`` with the weights of the stage before, by name, else random ones."""
        stage = self._recipe.stages[at.stage]
        if stage is not self._stage:  # a restored run stands in it already
            torch.manual_seed(self._derived_seed(at.stage))
            before = None if self._stage is None else self.result
            start = self._initial if before is None else weights.full(before.state_dict())
            self._build(stage, start if at.stage == 0 or stage.weights == "previous" else None, before)
            if self._ranks.rank:
                torch.manual_seed(self._derived_seed(at.stage, self._ranks.rank))  # another augmentation than rank 0's
            self.reset_epoch_means()
        for observer in self._observers:
            observer.start(self._network._forward_module, self._optimizer, self._folder, at)

    def _build(self, stage: Stage, start: Mapping[str, Tensor] | None, before: nn.Module | None) -> None:
        ranks, recipe = self._ranks, self._recipe
        self._stage = stage
        self.model = self._create(stage)
        if start is not None:
            weights.take_over(self.model, start, f"stage {stage.name!r}")
        if ranks.world > 1:
            SyncedBatchNorm.convert(self.model)
        network = torch.compile(self.model) if recipe.compile else self.model
        self._network = ranks.fabric.setup_module(network)  # type: ignore[arg-type]
        self._optimizer, self._schedulers = build_optimizer(stage, self.model)
        self._stepper: Any = ranks.fabric.setup_optimizers(self._optimizer)
        self._average = AveragedModel(self.model, multi_avg_fn=get_ema_multi_avg_fn(recipe.ema)) if recipe.ema else None
        binary = binary_weights(self.model) if stage.precision == "binary" else []
        self._flips = FlipCounter(binary, centred_weights(self.model))
        self._teacher = {"none": None, "given": self._given_teacher, "previous": before}[stage.teacher]
        if self._teacher is not None:
            self._teacher.eval().requires_grad_(False)
        self._features.close()
        names = recipe.attention_layers if stage.attention else ()
        self._student_features = self._features.enter_context(Features(self.model, names))
        if names and stage.teacher == "given" and recipe.teacher_attention_layers:
            names = recipe.teacher_attention_layers
        self._teacher_features = self._features.enter_context(Features(self._teacher or self.model, names))

    def _create(self, stage: Stage) -> nn.Module:
        model = create(self._recipe.model, **self.model_options(stage))
        dtype = torch.float64 if self._recipe.mixed_precision == "double" else torch.float32
        return model.to(self._ranks.device, dtype, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    @property
    def result(self) -> nn.Module:
        """The network to evaluate and to keep: the moving average, where there is one, as ``evaluate`` leaves it."""
        return self.model if self._average is None else self._average.module

    def progress(self, at: Position) -> float:
        """Share of the stage that is done before the step that ``at`` stands before, 0..1."""
        return (at.epoch + at.batch / self.batches) / self._recipe.stages[at.stage].epochs

    def learning_rate(self, at: Position) -> float:
        """Of the step that ``at`` stands before."""
        return learning_rate(self._recipe.stages[at.stage], self.progress(at))

    def epoch(self, at: Position) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of the epoch that are left, in this process: images uint8 [B, C, H, W] and labels int64 [B]."""
        seed = self._derived_seed(at.stage, at.epoch)
        return self._train.epoch(
            batch_size=self.batch_size, seed=seed, rank=self._ranks.rank, world=self._ranks.world, start=at.batch
        )

    @property
    def waited(self) -> float:
        """Seconds that this process has waited for training images so far."""
        return self._train.waited

    @property
    def skipped(self) -> list[tuple[str, str]]:
        """(name, reason) of every image that this process could not read."""
        return [*self._train.skipped, *self._test.skipped]

    def step(self, images: Tensor, labels: Tensor, at: Position) -> tuple[float, bool]:
        """One optimizer step: the loss in this process, and whether it diverged in any process; then weights stay.

        A loss far from a guess has diverged, and so has a gradient that is not finite: its weight may be NaN after the
        step, of which the sign is still +1.
        """
        self._network.train()
        progress = self.progress(at)
        for scheduler in self._schedulers:
            scheduler.set_progress(progress)
        set_progress(self.model, progress)
        x, targets = self._augmented(images, labels)
        self._stepper.zero_grad()
        parts, total = self._recipe.accumulate, 0.0
        for index, (inputs, wanted) in enumerate(zip(x.chunk(parts), targets.chunk(parts), strict=True)):
            with self._ranks.fabric.no_backward_sync(self._network, enabled=index < parts - 1):
                logits = self._network(inputs)
                loss = self._objective(inputs, logits, wanted)
                self._ranks.fabric.backward(loss / parts)
            total += loss.item() / parts
            self._accuracy.update(logits.detach(), wanted if wanted.dim() == 1 else wanted.argmax(1))
        if self._ranks.any(self._out_of_range(total) or not all_finite(list(self._gradients().values())))[0]:
            return total, True
        self._stepper.step()
        if self._average is not None:
            self._average.update_parameters(self.model)
        self._flips.update()
        self._loss.update(total, weight=len(labels))
        for observer in self._observers:
            observer.step(at)
        return total, False

    def _augmented(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """What the network sees of a training batch, on its device, and the targets: labels, or mixed distributions."""
        device = self._ranks.device
        x, targets = self._prepare(self._augment(images.to(device, non_blocking=True))), labels.to(device)
        for mix, alpha in ((mixup, self._recipe.mixup), (cutmix, self._recipe.cutmix)):
            if alpha:
                x, targets = mix(x, F.one_hot(targets, self._classes).to(x.dtype), alpha)
        return x, targets

    def _objective(self, inputs: Tensor, logits: Tensor, targets: Tensor) -> Tensor:
        stage = self._stage
        assert stage
        logits = _wide(logits)
        learned = stage.distillation if self._teacher is not None else 0.0
        loss = logits.new_zeros(())
        if learned < 1:
            loss = loss + (1 - learned) * F.cross_entropy(logits, targets, label_smoothing=self._recipe.label_smoothing)
        if self._teacher is not None:
            with torch.no_grad(), self._ranks.fabric.autocast():
                taught = _wide(self._teacher(_typed(inputs, self._teacher)))
            loss = loss + learned * distribution_loss(logits, taught)
            if stage.attention:
                loss = loss + stage.attention * attention_loss(self._student_features.maps, self._teacher_features.maps)
        return loss

    def _out_of_range(self, loss: float) -> bool:
        """Whether ``loss`` is not finite, or far above that of a network that guesses."""
        return not loss <= _DIVERGED * math.log(max(self._classes, 2))

    def _gradients(self) -> dict[str, Tensor]:
        """This process' part of each gradient, by the name of its parameter."""
        return {name: weights.local(p.grad) for name, p in self.model.named_parameters() if p.grad is not None}

    def cause(self, loss: float) -> str:
        """What diverged in a step with ``loss`` in this process, in words. All processes must ask together."""
        losses = self._ranks.join([loss] if self._out_of_range(loss) else [])
        if losses:
            return f"the loss is {losses[0]:.4g}"
        broken = list(dict.fromkeys(self._ranks.join(not_finite(self._gradients()))))
        others = f" (with {len(broken) - 1} others)" if broken[1:] else ""
        return f"the gradient of {broken[-1]!r} is not finite{others}"  # which the backward pass reaches first

    def broken(self, tensors: Mapping[str, Tensor]) -> list[str]:
        """Which weights, averages and numbers of the optimizer, of what ``tensors`` returned, are not finite."""
        names = {id(p): name for name, p in self.model.named_parameters()}
        optimized = [names[id(p)] for group in self._optimizer.param_groups for p in group["params"]]
        found = []
        for name in not_finite(tensors):
            group, rest = name.split(".", 1)
            if group == "optimizer":
                index, key = rest.split(".", 1)
                found.append(f"{group}.{optimized[int(index)]}.{key}")
            elif group in ("model", "average"):
                found.append(name)
        return found

    def diagnosis(self, images: Tensor) -> str:
        """Which layer broke first on ``images``, in words."""
        with self._ranks.fabric.autocast():
            x = _typed(self._prepare(images.to(self._ranks.device)), self.model)
            return first_broken_layer(self.model, x)

    def epoch_means(self) -> tuple[float, float]:
        """Loss and accuracy over this process' training batches since the last ``reset_epoch_means``."""
        return self._loss.compute().item(), self._accuracy.compute().item()

    def flip_rate(self) -> float | None:
        """Mean share of the binary weights that flip in a step, since ``reset_epoch_means``; None before any."""
        return self._flips.rate()

    def reset_epoch_means(self) -> None:
        self._loss.reset()
        self._accuracy.reset()
        self._flips.reset()

    def _settle_average(self) -> None:
        """Gives the average of the weights the BatchNorm statistics of its own activations, until the next step.

        Other weights have other signs, so the network's statistics do not fit it. The images, and the random numbers
        that augment them, are the same each time; the stream of those that training draws stands still.
        """
        if self._average is None:
            return
        device = self._ranks.device
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(self._derived_seed(_AVERAGE_SEED, self._ranks.rank))
            update_bn(self._average_inputs(), self._average.module)

    def _average_inputs(self) -> Iterator[Tensor]:
        dtype = next(self.model.parameters()).dtype
        batches = self._train.epoch(
            batch_size=self.batch_size,
            seed=self._derived_seed(_AVERAGE_SEED),
            rank=self._ranks.rank,
            world=self._ranks.world,
            start=max(0, self.batches - _AVERAGE_BATCHES),
        )
        for images, labels in batches:
            yield from self._augmented(images, labels)[0].to(dtype).chunk(self._recipe.accumulate)

    @torch.no_grad()
    def evaluate(self) -> tuple[float, float]:
        """Loss and accuracy on the whole test split, all processes together, in the precision of the weights."""
        self._settle_average()
        model = self.result.eval()
        loss, correct, count = 0.0, 0, 0
        for images, labels in self._test_batches():
            logits = model(_typed(self._prepare(images.to(self._ranks.device)), model))
            wanted = labels.to(logits.device)
            logits = logits[: len(wanted)]
            loss += F.cross_entropy(logits, wanted, reduction="sum").item()
            correct += int((logits.argmax(1) == wanted).sum())
            count += len(wanted)
        loss, correct, count = self._ranks.sum((loss, correct, count))  # type: ignore[assignment]
        return loss / count, correct / count

    def _test_batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """This process' part of the test split, in as many batches as the others', the last ones without labels.

        Where the weights are shared out, a forward pass needs all processes.
        """
        rank, world = self._ranks.rank, self._ranks.world
        batches = self._test.epoch(
            batch_size=_EVALUATION_BATCH, seed=0, rank=rank, world=world, shuffle=False, drop_last=False
        )
        rounds = math.ceil(len(self._test) / (_EVALUATION_BATCH * world))
        nothing = torch.zeros(1, *self._info.input_shape, dtype=torch.uint8), torch.empty(0, dtype=torch.int64)
        for _ in range(rounds):
            yield next(batches, nothing)

    def tensors(self) -> dict[str, Tensor]:
        """Everything that the next step depends on, by flat name. All processes must ask together."""
        groups: dict[str, Mapping[str, Tensor]] = {
            "model": weights.full(self.model.state_dict()),
            "optimizer": weights.optimizer_tensors(self._optimizer),
            "loss": self._gathered(self._loss.state_dict()),
            "accuracy": self._gathered(self._accuracy.state_dict()),
            "flips": {"state": torch.tensor(self._flips.state())},
            "random": self._gathered(self._random_states()),
        }
        if self._average is not None:
            groups["average"] = self._average.state_dict()
        if self._stage and self._stage.teacher == "previous" and self._teacher is not None:
            groups["teacher"] = weights.full(self._teacher.state_dict())
        return {f"{group}.{name}": tensor for group, tensors in groups.items() for name, tensor in tensors.items()}

    def restore(self, saved: Checkpoint) -> Position:
        """Puts back what ``tensors`` returned; the next step is the one that would have come."""
        at = Position.from_json(saved.state)
        stage = self._recipe.stages[at.stage]
        teacher = None
        if stage.teacher == "previous":
            teacher = self._create(self._recipe.stages[at.stage - 1])
            teacher.load_state_dict(saved.under("teacher"))
        self._build(stage, saved.under("model"), teacher)
        weights.restore_optimizer(self._optimizer, saved.under("optimizer"))
        if self._average is not None:
            self._average.load_state_dict(saved.under("average"))
        for metric, name in ((self._loss, "loss"), (self._accuracy, "accuracy")):
            # torchmetrics keeps the tensors themselves, wherever they are
            metric.load_state_dict({n: t.to(self._ranks.device) for n, t in self._mine(saved.under(name)).items()})
        flips, updates = saved.under("flips")["state"].tolist()
        self._flips.restore((flips, updates))
        random = self._mine(saved.under("random"))
        torch.set_rng_state(random["cpu"])
        if "cuda" in random and torch.cuda.is_available():
            torch.cuda.set_rng_state(random["cuda"])
        return at

    def _gathered(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: self._ranks.gather(t) for name, t in tensors.items()}

    def _mine(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: self._ranks.mine(t) for name, t in tensors.items()}

    def _prepare(self, pixels: Tensor) -> Tensor:
        return self._info.preprocessing(pixels).contiguous(memory_format=torch.channels_last)

    def _random_states(self) -> dict[str, Tensor]:
        states = {"cpu": torch.get_rng_state()}
        if self._ranks.device.type == "cuda":
            states["cuda"] = torch.cuda.get_rng_state()
        return states

    def _derived_seed(self, *numbers: int) -> int:
        return int(np.random.SeedSequence((self._seed, *numbers)).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _wide(logits: Tensor) -> Tensor:
    return logits.float() if logits.dtype in (torch.bfloat16, torch.float16) else logits


def _typed(x: Tensor, model: nn.Module) -> Tensor:
    """``x`` in the type of the weights of ``model``, for a pass in which Fabric does not see to that."""
    return x.to(next(model.parameters(), x).dtype)
