"""A split whose images are read and decoded during use."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, field
from random import Random
from time import perf_counter
from typing import Any, NoReturn

import torch
from torch import Tensor

from bittern._image_geometry import TORCHVISION, ImageGeometry
from bittern.data.dataset import ImageSource, Split
from bittern.data.decode import Task
from bittern.data.errors import DataError
from bittern.data.order import evenly
from bittern.data.samples import Samples
from bittern.data.workers import Workers

_IMAGES_PER_TASK = 8
_MIN_JUDGED = 64  # images: among fewer, many bad ones may be chance
_MAX_ATTEMPTS = 100  # to fill a place; less than half of the images are bad, so no place needs as many
_TAKE_BATCH = 64


def default_workers() -> int:
    """This rank's share of the CPUs that the process may use, at most 16."""
    ranks = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # torchrun sets it
    return max(1, min(16, len(os.sched_getaffinity(0)) // ranks))


class Stream(ImageSource):
    """An `ImageSource` that decodes in ``workers`` processes, which live as long as an epoch.

    Batches are RGB, uint8 [B, 3, ``image_size``, ``image_size``] in channels_last memory of the CPU. Their content does
    not depend on the number of workers.

    Args:
        training: random crops (`decode.random_resized_crop`), drawn from the epoch's seed and the image's index; else
            what ``geometry`` makes of them.
    """

    def __init__(
        self, samples: Samples, image_size: int, *, training: bool, workers: int, geometry: ImageGeometry = TORCHVISION
    ) -> None:
        self._samples = samples
        self._labels = torch.from_numpy(samples.labels)
        self._side = image_size
        self._training = training
        self._workers = workers
        self._view = astuple(geometry)
        self._skipped = dict(samples.notes)
        self._waited = 0.0

    def __len__(self) -> int:
        return len(self._labels)

    @property
    def digest(self) -> str:
        content = hashlib.sha256(self._samples.labels.tobytes())
        for index in range(len(self)):
            content.update(os.fsencode(self._samples.name(index)) + b"\0")
        return content.hexdigest()

    @property
    def skipped(self) -> list[tuple[str, str]]:
        return list(self._skipped.items())

    @property
    def waited(self) -> float:
        return self._waited

    def take(self, count: int) -> Split:
        """As `ImageSource.take`; without random crops, also for a training split."""
        chosen = torch.tensor(evenly(len(self), count)).split(_TAKE_BATCH)
        read = list(self._decode(chosen, 0, training=False, refill=False))
        return Split(torch.cat([images for images, _ in read]), torch.cat([labels for _, labels in read]))

    def _read(self, chosen: Sequence[Tensor], seed: int, *, refill: bool) -> Iterator[tuple[Tensor, Tensor]]:
        return self._decode(chosen, seed, training=self._training, refill=refill)

    def _decode(
        self, chosen: Sequence[Tensor], seed: int, *, training: bool, refill: bool
    ) -> Iterator[tuple[Tensor, Tensor]]:
        if not chosen:
            return
        waiting_since = perf_counter()
        size = max(map(len, chosen))
        # Two batches ahead of the consumer; more if they are too small to keep all workers busy.
        slots = min(len(chosen), 1 + max(2, -(-2 * _IMAGES_PER_TASK * self._workers // size)))
        with Workers(min(self._workers, slots * size), slots * size, self._side) as workers:
            reading = _Reading(
                self._samples, workers, size, seed, None if training else self._view, refill, self._skipped
            )
            for slot in range(slots):
                reading.ask(slot, chosen[slot])
            for number in range(len(chosen)):
                slot = number % slots
                images, indices = reading.collect(slot)
                if number + slots < len(chosen):
                    reading.ask(slot, chosen[number + slots])  # the workers decode it while the consumer computes
                self._waited += perf_counter() - waiting_since
                if indices:
                    yield images, self._labels[indices]
                waiting_since = perf_counter()
            reading.judge(at_end=True)


@dataclass
class _Batch:
    """``asked``: the index that belongs in each place; ``chosen``: the one that is there, None if the place is lost."""

    asked: list[int]
    chosen: list[int | None]
    unanswered: int
    attempts: dict[int, int] = field(default_factory=dict)


@dataclass
class _Reading:
    """Batches being decoded: each has a slot of ``size`` places in the memory of the workers.

    ``view``: the fields of the geometry; None for random crops.
    """

    samples: Samples
    workers: Workers
    size: int
    seed: int
    view: tuple[Any, ...] | None
    refill: bool
    skipped: dict[str, str]
    _batches: dict[int, _Batch] = field(default_factory=dict)
    _read: int = 0
    _failed: int = 0

    def ask(self, slot: int, indices: Tensor) -> None:
        """Sends the images ``indices`` to the workers, for ``slot``."""
        asked: list[int] = indices.tolist()
        self._batches[slot] = _Batch(asked, list(asked), len(asked))
        tasks = [self._task(slot * self.size + at, index, index) for at, index in enumerate(asked)]
        for first in range(0, len(tasks), _IMAGES_PER_TASK):
            self.workers.send(tasks[first : first + _IMAGES_PER_TASK])

    def collect(self, slot: int) -> tuple[Tensor, list[int]]:
        """Waits for ``slot``: images uint8 [B, 3, side, side] and their indices."""
        batch = self._batches[slot]
        while batch.unanswered:
            for tasks, failed in self.workers.receive():
                for task in tasks:
                    self._answered(task.place, failed.get(task.place))
        self._read += len(batch.asked)
        self._failed += len(batch.attempts)
        self.judge()
        there = torch.tensor([at for at, index in enumerate(batch.chosen) if index is not None], dtype=torch.int64)
        # A copy, which frees the slot; advanced indexing would copy index by index.
        images = self.workers.pixels.index_select(0, slot * self.size + there)
        return images.permute(0, 3, 1, 2), [index for index in batch.chosen if index is not None]

    def judge(self, at_end: bool = False) -> None:
        """Raises DataError if more than half of the images read so far are bad."""
        if self._failed * 2 > self._read and (at_end or self._read >= _MIN_JUDGED):
            self._give_up()

    def _answered(self, place: int, reason: str | None) -> None:
        slot, at = divmod(place, self.size)
        batch = self._batches[slot]
        batch.unanswered -= 1
        if reason is None:
            return
        index = batch.chosen[at]
        assert index is not None
        self.skipped.setdefault(self.samples.name(index), reason)
        attempt = batch.attempts[at] = batch.attempts.get(at, 0) + 1
        if not self.refill:
            batch.chosen[at] = None
            return
        if attempt > _MAX_ATTEMPTS:
            self._give_up()
        # The key contains neither the rank nor the number of workers, so the choice is the same for all.
        key = self._key(batch.asked[at])
        other = int(Random(f"{key}/{attempt}").random() * len(self.samples.labels))
        batch.chosen[at] = other
        batch.unanswered += 1
        self.workers.send([self._task(place, other, batch.asked[at])])

    def _task(self, place: int, index: int, asked: int) -> Task:
        return Task(place, *self.samples.locate(index), self._key(asked) if self.view is None else self.view)

    def _key(self, index: int) -> str:
        return f"{self.seed}/{index}"

    def _give_up(self) -> NoReturn:
        name, reason = next(reversed(self.skipped.items()))
        raise DataError(
            f"{len(self.skipped)} images or files cannot be read, more than half of those tried, such as "
            f"{name} ({reason}); check the data"
        )
