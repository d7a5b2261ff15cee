"""Batches of streamed data sets, through worker processes."""

import time
from itertools import islice
from pathlib import Path

import pytest
import torch
from torch import Tensor

from bittern.data import ImageSource, Split
from bittern.data.order import batches
from data.image_files import numbers
from data.streams import COUNT, number_at, opened, seen


@pytest.fixture(params=["memory", "images", "image-shards"])
def train(request: pytest.FixtureRequest, folder: Path) -> ImageSource:
    """The same images and labels in each form, in the order of a folder's."""
    if request.param == "memory":
        order = [n for label in range(3) for n in range(label, COUNT, 3)]
        colours = torch.tensor([[n % 256, n // 256, 77] for n in order], dtype=torch.uint8)
        return Split(colours[:, :, None, None].expand(-1, 3, 8, 8), torch.tensor([n % 3 for n in order]))
    return opened(folder / request.param, request.param)


def test_batches_are_those_of_the_order(train: ImageSource) -> None:
    for how in ({"shuffle": True, "drop_last": True}, {"shuffle": False, "drop_last": False}):
        chosen = batches(COUNT, batch_size=4, seed=3, **how)
        expected = [[number_at(train, i) for i in batch.tolist()] for batch in chosen]
        assert seen(train.epoch(batch_size=4, seed=3, **how)) == expected
    assert len(train) == COUNT


def test_two_ranks_see_together_what_one_process_sees(train: ImageSource) -> None:
    one = seen(train.epoch(batch_size=6, seed=1))
    two = [seen(train.epoch(batch_size=3, seed=1, rank=rank, world=2)) for rank in (0, 1)]
    assert [a + b for a, b in zip(*two, strict=True)] == one


def test_an_epoch_goes_on_where_it_was_left(train: ImageSource) -> None:
    every = list(train.epoch(batch_size=4, seed=1))
    assert len(every) == 7
    for start in (1, 6, 7, 8):
        rest = list(train.epoch(batch_size=4, seed=1, start=start))
        assert len(rest) == max(0, 7 - start)
        for (images, labels), (all_images, all_labels) in zip(rest, every[start:], strict=True):
            assert torch.equal(images, all_images)
            assert torch.equal(labels, all_labels)


def test_an_epoch_may_be_left_and_begun_again(train: ImageSource) -> None:
    first = [seen(islice(train.epoch(batch_size=4, seed=1), 2)) for _ in range(2)]
    assert first[0] == first[1]
    interleaved = list(zip(train.epoch(batch_size=4, seed=1), train.epoch(batch_size=4, seed=1), strict=True))
    assert seen([a for a, _ in interleaved]) == seen([b for _, b in interleaved])


def test_batches_stay_as_they_are_when_others_come(train: ImageSource) -> None:
    held = list(train.epoch(batch_size=2, seed=1))
    assert seen(held) == seen(train.epoch(batch_size=2, seed=1))


def test_take_gives_evenly_spread_images_uncropped(train: ImageSource) -> None:
    taken = train.take(5)
    assert numbers(taken.images) == [number_at(train, i) for i in (0, 6, 12, 18, 24)]
    assert len(train.take(999)) == COUNT


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images on which different crops differ."""
    folder = tmp_path_factory.mktemp("photographs")
    torch.manual_seed(0)
    from PIL import Image

    for number in range(24):
        pixels = torch.randint(0, 256, (40 + number, 60 - number, 3), dtype=torch.uint8)
        for split in ("train", "test"):
            path = folder / split / "ant" / f"{number:02}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.numpy()).save(path)
    (folder / "train" / "ant" / "05.jpg").write_bytes(b"broken")
    return folder


@pytest.mark.parametrize("split", ["train", "test"])
def test_no_number_of_workers_changes_a_pixel(photographs: Path, split: str) -> None:
    found = []
    for workers in (1, 2, 5):
        source = opened(photographs, split=split, workers=workers)
        found.append(torch.cat([images for images, _ in source.epoch(batch_size=6, seed=9)]))
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_crops_change_with_the_seed_in_training_alone(photographs: Path) -> None:
    def pixels(split: str, seed: int) -> Tensor:
        source = opened(photographs, split=split)
        return torch.cat([i for i, _ in source.epoch(batch_size=6, seed=seed, shuffle=False)])

    assert not torch.equal(pixels("train", 1)[:5], pixels("train", 2)[:5])
    assert torch.equal(pixels("test", 1), pixels("test", 2))


def test_batches_are_in_channels_last_memory_and_no_view_of_shared_memory(folder: Path) -> None:
    images, _ = next(opened(folder / "images").epoch(batch_size=4, seed=0))
    assert images.shape == (4, 3, 8, 8)
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert images.untyped_storage().nbytes() == images.numel()


def test_the_digest_of_a_split_in_memory_is_that_of_its_labels() -> None:
    one, other = torch.tensor([0, 1, 2]), torch.tensor([0, 2, 1])
    images = [torch.full((3, 1, 2, 2), value, dtype=torch.uint8) for value in (0, 1)]
    assert Split(images[0], one).digest == Split(images[1], one).digest != Split(images[0], other).digest


def test_waiting_is_counted_and_what_the_consumer_does_is_not(folder: Path) -> None:
    source = opened(folder / "images")
    assert source.waited == 0
    began = time.perf_counter()
    slept = 0.0
    for _ in source.epoch(batch_size=10, seed=0):
        time.sleep(0.3)
        slept += 0.3
    assert 0 < source.waited <= time.perf_counter() - began - slept
