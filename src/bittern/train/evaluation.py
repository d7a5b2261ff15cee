"""Loss and accuracy on the test split."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim.swa_utils import update_bn

from bittern.train.context import Context
from bittern.train.stages import ActiveStage, like_weights
from bittern.train.step import augment

_BATCH = 500
_AVERAGE_BATCHES = 50
"""The average of the weights takes its BatchNorm statistics from at most this many training batches."""
_AVERAGE_SEED = 1 << 20
"""Takes the place of a stage's number in the seeds of those batches."""


@torch.no_grad()
def evaluate(context: Context, stage: ActiveStage) -> tuple[float, float]:
    """Loss and accuracy on the whole test split, all processes together, in the precision of the weights."""
    _update_average_statistics(context, stage)
    model, ranks = stage.result.eval(), context.ranks
    loss, correct, images = 0.0, 0, 0
    batches = context.test.epoch(
        batch_size=_BATCH, seed=0, rank=ranks.rank, world=ranks.world, shuffle=False, drop_last=False
    )
    for pixels, labels in batches:
        logits = model(like_weights(context.prepare(pixels.to(ranks.device)), model))
        expected = labels.to(logits.device)
        loss += F.cross_entropy(logits, expected, reduction="sum").item()
        correct += int((logits.argmax(1) == expected).sum())
        images += len(expected)
    loss_sum, correct_sum, count = ranks.sum(loss, correct, images)
    return loss_sum / count, correct_sum / count


def _update_average_statistics(context: Context, stage: ActiveStage) -> None:
    """Gives the average of the weights BatchNorm statistics of its own activations, until the next step.

    Averaged weights have other signs, so the network's own statistics do not fit them. The images, and the random
    numbers that augment them, are the same each time; the training's own random stream is left alone.
    """
    if stage.average is None:
        return
    device = context.ranks.device
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(context.derived_seed(_AVERAGE_SEED, context.ranks.rank))
        update_bn(_training_inputs(context), stage.average.module)


def _training_inputs(context: Context) -> Iterator[Tensor]:
    batches = context.train.epoch(
        batch_size=context.batch_size,
        seed=context.derived_seed(_AVERAGE_SEED),
        rank=context.ranks.rank,
        world=context.ranks.world,
        start=max(0, context.batches - _AVERAGE_BATCHES),
    )
    for images, labels in batches:
        yield from augment(context, images, labels)[0].to(context.weight_dtype).chunk(context.recipe.accumulate)
