"""One step of the optimizer."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bittern.data import cutmix, get_augmentation, mixup
from bittern.train.context import Context
from bittern.train.divergence import all_finite, gradients, out_of_range
from bittern.train.losses import attention_loss, distribution_loss
from bittern.train.stages import ActiveStage, like_weights


@dataclass(frozen=True)
class StepResult:
    """Of the ``images`` of this process: mean ``loss``, and how many were ``correct``.

    ``diverged``: a loss or gradient went wrong in some process; then the weights are as they were before the step.
    """

    loss: float
    correct: int
    images: int
    diverged: bool


def train_step(context: Context, stage: ActiveStage, images: Tensor, labels: Tensor, progress: float) -> StepResult:
    """Makes the step at ``progress`` in [0, 1] of the stage, on a batch of this process.

    A gradient that is not finite is refused too: the weight that it makes may be NaN, whose sign is still +1.
    """
    stage.network.train()
    stage.set_progress(progress)
    x, targets = augment(context, images, labels)
    stage.optimizer.zero_grad()
    passes, loss, correct = context.recipe.accumulate, 0.0, 0
    for index, (part, expected) in enumerate(zip(x.chunk(passes), targets.chunk(passes), strict=True), 1):
        with nullcontext() if index == passes else _no_exchange(stage.network):
            with context.autocast():
                logits = stage.network(part.to(context.compute_dtype)).float()
            loss_of_part = _objective(context, stage, part, logits, expected)
            (loss_of_part / passes).backward()
        loss += loss_of_part.item() / passes
        classes = expected if expected.dim() == 1 else expected.argmax(1)
        correct += int((logits.argmax(1) == classes).sum())
    sound = not out_of_range(loss, context.classes) and all_finite(list(gradients(stage.model).values()))
    (diverged,) = context.ranks.any(not sound)
    if not diverged:
        stage.optimizer.step()
        if stage.average is not None:
            stage.average.update_parameters(stage.model)
        stage.flips.update()
    return StepResult(loss, correct, len(labels), diverged)


def augment(context: Context, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """What the network sees of a training batch, float32 on its device, and its targets.

    Targets are labels [B], or distributions [B, classes] where images are mixed.
    """
    recipe, device = context.recipe, context.ranks.device
    augmentation = get_augmentation(recipe.augmentation)
    x, targets = context.prepare(augmentation(images.to(device, non_blocking=True))), labels.to(device)
    for mix, alpha in ((mixup, recipe.mixup), (cutmix, recipe.cutmix)):
        if alpha:
            x, targets = mix(x, F.one_hot(targets, context.classes).to(x.dtype), alpha)
    return x, targets


def _objective(context: Context, stage: ActiveStage, inputs: Tensor, logits: Tensor, targets: Tensor) -> Tensor:
    """The loss, from float32 logits [B, classes] of ``inputs``."""
    settings = stage.settings
    share = settings.distillation if stage.teacher is not None else 0.0
    loss = logits.new_zeros(())
    if share < 1:
        smoothing = context.recipe.label_smoothing
        loss = loss + (1 - share) * F.cross_entropy(logits, targets, label_smoothing=smoothing)
    if stage.teacher is not None:
        with torch.no_grad(), context.autocast():
            teacher_logits = stage.teacher(like_weights(inputs, stage.teacher)).float()
        loss = loss + share * distribution_loss(logits, teacher_logits)
        if settings.attention:
            maps = stage.student_features.maps, stage.teacher_features.maps
            loss = loss + settings.attention * attention_loss(*maps)
    return loss


def _no_exchange(network: nn.Module) -> AbstractContextManager[None]:
    """Around a pass whose gradients stay in this process until the last pass of the step averages them over all."""
    context: AbstractContextManager[None] = getattr(network, "no_sync", nullcontext)()
    return context
