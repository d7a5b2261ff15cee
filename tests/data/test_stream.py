"""Batches of streamed data sets, through worker processes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import pytest
import torch
from torch import Tensor

from bittern.data import DataError, ImageSource, Split, open_dataset, stream
from bittern.data.decode import Task
from bittern.data.order import batches
from bittern.data.stream import default_workers
from bittern.data.workers import Workers
from data.image_files import members, numbers, write_folder, write_shard, write_shards

COUNT = 30
Batches = list[tuple[Tensor, Tensor]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("streamed")
    write_folder(folder / "images", {"train": COUNT, "val": 7})
    write_shards(folder / "image-shards", {"train": (10, 1, COUNT - 11), "val": (7,)})
    return folder


@pytest.fixture(params=["memory", "images", "image-shards"])
def train(request: pytest.FixtureRequest, folder: Path) -> ImageSource:
    """The same images and labels in each form, in the order of a folder's."""
    if request.param == "memory":
        order = [n for label in range(3) for n in range(label, COUNT, 3)]
        colours = torch.tensor([[n % 256, n // 256, 77] for n in order], dtype=torch.uint8)
        return Split(colours[:, :, None, None].expand(-1, 3, 8, 8), torch.tensor([n % 3 for n in order]))
    return opened(folder / request.param, request.param)


def opened(folder: Path, name: str = "images", split: str = "train", workers: int = 2) -> ImageSource:
    return open_dataset(name, folder, image_size=8, workers=workers).splits[split]


def seen(found: Iterator[tuple[Tensor, Tensor]] | Batches) -> list[list[int]]:
    """Numbers of the images of each batch, after a look at the labels."""
    result = []
    for images, labels in found:
        assert labels.dtype == torch.int64
        result.append(numbers(images))
        assert labels.tolist() == [n % 3 for n in result[-1]]
    return result


def number_at(source: ImageSource, index: int) -> int:
    if isinstance(source, Split):
        return int(source.images[index, 0, 0, 0])
    return int(source._samples.name(index)[-9:-4])  # type: ignore[attr-defined]


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


def test_an_epoch_leaves_no_process(folder: Path) -> None:
    before = children()
    left = opened(folder / "images").epoch(batch_size=4, seed=1)
    next(left)
    assert len(children()) == len(before) + 2
    del left
    assert children() == before
    list(opened(folder / "images").epoch(batch_size=4, seed=1))
    assert children() == before


def children() -> set[str]:
    tasks = Path(f"/proc/{os.getpid()}/task").iterdir()
    return {pid for task in tasks for pid in (task / "children").read_text().split()}


def test_take_gives_evenly_spread_images_uncropped(train: ImageSource) -> None:
    taken = train.take(5)
    assert numbers(taken.images) == [number_at(train, i) for i in (0, 6, 12, 18, 24)]
    assert len(train.take(999)) == COUNT


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images that look different when they are cropped differently."""
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


def test_what_is_opened_knows_its_classes_and_shape(folder: Path) -> None:
    info = open_dataset("image-shards", folder / "image-shards", image_size=40).info
    assert (info.class_names, info.input_shape, info.streamed) == (("0", "1", "2"), (3, 40, 40), True)
    assert open_dataset("images", folder / "images", splits=("test",)).info.input_shape == (3, 224, 224)
    digits = open_dataset("digits")
    assert digits.info.class_names == tuple("0123456789")
    assert isinstance(digits.splits["train"], Split)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": 0}, "image_size must be at least 1, got 0"),
        ({"workers": 0}, "workers must be at least 1, got 0"),
        ({"splits": ("valid",)}, "split must be one of 'train', 'test', got 'valid'"),
    ],
)
def test_impossible_options_are_refused(folder: Path, options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        open_dataset("images", folder / "images", **options)  # type: ignore[arg-type]


def test_the_digest_of_a_split_in_memory_is_that_of_its_labels() -> None:
    one, other = torch.tensor([0, 1, 2]), torch.tensor([0, 2, 1])
    images = [torch.full((3, 1, 2, 2), value, dtype=torch.uint8) for value in (0, 1)]
    assert Split(images[0], one).digest == Split(images[1], one).digest != Split(images[0], other).digest


def test_images_of_one_size_have_no_other() -> None:
    assert open_dataset("digits", image_size=8).info.input_shape == (1, 8, 8)
    with pytest.raises(ValueError, match=r"image_size must be 8 for 'digits'.*got 32"):
        open_dataset("digits", image_size=32)


def test_a_streamed_set_is_not_loaded() -> None:
    from bittern.data import load

    with pytest.raises(ValueError, match=r"'images' is streamed.* bittern\.data\.open_dataset"):
        load("images", ".")


def test_the_cpus_are_shared_by_the_ranks_of_a_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(12)))
    assert default_workers() == 12
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert default_workers() == 3
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "40")
    assert default_workers() == 1


def test_waiting_is_counted_and_what_the_consumer_does_is_not(folder: Path) -> None:
    source = opened(folder / "images")
    assert source.waited == 0
    began = time.perf_counter()
    slept = 0.0
    for _ in source.epoch(batch_size=10, seed=0):
        time.sleep(0.3)
        slept += 0.3
    assert 0 < source.waited <= time.perf_counter() - began - slept


# Files that cannot be read.


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


KINDS: dict[str, Callable[[Path], object]] = {
    "empty": lambda p: p.write_bytes(b""),
    "cut": lambda p: p.write_bytes(cut(p.read_bytes())),
    "text": lambda p: p.write_text("404"),
    "gone": lambda p: p.unlink(),
    "a folder now": lambda p: (p.unlink(), p.mkdir()),
    "a link to nowhere": lambda p: (p.unlink(), p.symlink_to("nowhere")),
}


@pytest.fixture
def spoilt(tmp_path: Path) -> ImageSource:
    """30 images; six of them were spoilt after they were listed."""
    write_folder(tmp_path, {"train": COUNT, "test": COUNT})
    source = opened(tmp_path)
    for number, spoil in enumerate(KINDS.values()):
        spoil(tmp_path / "train" / ("ant", "bee", "cow")[number % 3] / f"{number:05}.png")
    return source


BAD = set(range(len(KINDS)))


def test_bad_images_are_named_with_a_reason_once(spoilt: ImageSource) -> None:
    for seed in range(2):
        list(spoilt.epoch(batch_size=5, seed=seed))
    assert sorted(int(name[-9:-4]) for name, _ in spoilt.skipped) == sorted(BAD)
    reasons = {int(name[-9:-4]): reason for name, reason in spoilt.skipped}
    assert reasons[0] == reasons[2] == "is no image, or of no known format"
    assert "No such file or directory" in reasons[3]
    assert "Is a directory" in reasons[4]


def test_full_batches_stay_full_with_other_images_in_the_place_of_bad_ones(spoilt: ImageSource) -> None:
    chosen = [[number_at(spoilt, i) for i in b.tolist()] for b in batches(COUNT, batch_size=5, seed=4)]
    found = seen(spoilt.epoch(batch_size=5, seed=4))
    assert [len(b) for b in found] == [5] * 6
    for asked, got in zip(chosen, found, strict=True):
        for a, g in zip(asked, got, strict=True):
            assert g not in BAD
            assert g == a or a in BAD


def test_all_ranks_and_numbers_of_workers_agree_on_the_other_images(spoilt: ImageSource, tmp_path: Path) -> None:
    one = seen(spoilt.epoch(batch_size=6, seed=4))
    two = [seen(spoilt.epoch(batch_size=3, seed=4, rank=rank, world=2)) for rank in (0, 1)]
    assert [a + b for a, b in zip(*two, strict=True)] == one
    spoilt._workers = 5  # type: ignore[attr-defined]
    assert seen(spoilt.epoch(batch_size=6, seed=4)) == one
    assert seen(spoilt.epoch(batch_size=6, seed=4, start=2)) == one[2:]


def test_where_each_image_counts_once_bad_ones_are_left_out(spoilt: ImageSource) -> None:
    found = seen(spoilt.epoch(batch_size=4, seed=0, drop_last=False))
    assert sorted(n for batch in found for n in batch) == sorted(set(range(COUNT)) - BAD)
    assert numbers(spoilt.take(COUNT).images) == [n for label in range(3) for n in range(label, COUNT, 3) if n > 5]


def test_a_batch_of_bad_images_alone_does_not_come(spoilt: ImageSource) -> None:
    found = seen(spoilt.epoch(batch_size=1, seed=0, shuffle=False, drop_last=False))
    assert len(found) == COUNT - len(BAD)


@pytest.mark.parametrize("drop_last", [True, False])
def test_a_split_that_is_mostly_bad_is_refused(tmp_path: Path, drop_last: bool) -> None:
    write_folder(tmp_path, {"train": 300, "test": 1})
    source = opened(tmp_path)
    for path in sorted((tmp_path / "train").rglob("*.png"))[:250]:
        path.write_bytes(b"")
    with pytest.raises(DataError, match=r"more than half of those tried, such as train/\w+/\d+\.png \(is no image"):
        list(source.epoch(batch_size=8, seed=0, drop_last=drop_last))
    assert len(source.skipped) < 240  # before all were tried


@pytest.mark.parametrize("drop_last", [True, False])
def test_a_split_without_any_good_image_is_refused(tmp_path: Path, drop_last: bool) -> None:
    write_folder(tmp_path, {"train": 3, "test": 1})
    source = opened(tmp_path)
    for path in (tmp_path / "train").rglob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(DataError, match=r"^3 images or files cannot be read, more than half"):
        list(source.epoch(batch_size=3, seed=0, drop_last=drop_last))


def test_a_cut_shard_is_named_beside_bad_images(tmp_path: Path) -> None:
    found = members(0, 9)
    found[3] = (found[3][0], b"broken")
    write_shards(tmp_path, {"test": (3,)})
    write_shard(tmp_path / "train-0.tar", found)
    path = tmp_path / "train-0.tar"
    path.write_bytes(path.read_bytes()[: -12 * 1024])
    source = opened(tmp_path, "image-shards")
    good = len(source) - 1
    assert 4 < good < 8
    assert len(seen(source.epoch(batch_size=2, seed=0, drop_last=False))) >= good // 2
    assert source.skipped == [
        ("train-0.tar", source.skipped[0][1]),
        ("train-0.tar/00001.png", "is no image, or of no known format"),
    ]
    assert "is cut short" in source.skipped[0][1]


def test_a_shard_that_shrinks_under_way_costs_its_images(tmp_path: Path) -> None:
    write_shards(tmp_path, {"train": (8, 8), "test": (1,)})
    source = opened(tmp_path, "image-shards")
    path = tmp_path / "train-000001.tar"
    path.write_bytes(path.read_bytes()[:3000])
    assert sorted(n for b in seen(source.epoch(batch_size=4, seed=0, drop_last=False)) for n in b) == list(range(9))
    assert "bytes before the image does" in source.skipped[-1][1]


# Workers.


def test_a_worker_loads_neither_torch_nor_this_package(folder: Path) -> None:
    with Workers(1, 1, 8) as workers:
        workers.send([Task(0, str(folder / "images/train/ant/00000.png"), 0, -1, "0")])
        ((_, failed),) = workers.receive()
        maps = Path(f"/proc/{workers._workers[0].process.pid}/maps").read_text()
    assert not failed
    assert "libtorch" not in maps
    assert "numpy" not in maps


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_worker_that_dies_ends_the_epoch_with_an_error(
    tmp_path: Path, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(tmp_path, {"train": 300, "test": 1})  # far more than are decoded ahead
    pools: list[Workers] = []

    class Spied(Workers):
        def __init__(self, count: int, places: int, side: int) -> None:
            super().__init__(count, places, side)
            pools.append(self)

    monkeypatch.setattr(stream, "Workers", Spied)
    epoch = opened(tmp_path).epoch(batch_size=2, seed=0)
    next(epoch)
    process = pools[0]._workers[1].process
    process.send_signal(number)
    name = signal.Signals(number).name
    with pytest.raises(DataError, match=rf"\(pid {process.pid}\) was killed by {name} at .*/train/.*fewer workers"):
        list(epoch)
    assert all(worker.process.poll() is not None for worker in pools[0]._workers)


def test_signals_to_stop_do_not_reach_workers(folder: Path) -> None:
    """The trainer saves a checkpoint then, and needs no data for it; but it must not be told that they died."""
    task = Task(0, str(folder / "images/train/ant/00000.png"), 0, -1, "0")
    with Workers(1, 1, 8) as workers:
        workers.send([task])
        workers.receive()
        for number in (signal.SIGINT, signal.SIGTERM):
            workers._workers[0].process.send_signal(number)
        workers.send([task])
        assert workers.receive() == [([task], {})]


def test_a_worker_is_asked_for_more_than_fits_into_its_connection(folder: Path) -> None:
    task = Task(0, str(folder / "images/train/ant/00000.png"), 0, -1, "0")

    def too_long(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(30)
    try:
        with Workers(1, 1, 8) as workers:
            for _ in range(1000):
                workers.send([task])
            answered = 0
            while answered < 1000:
                answered += len(workers.receive())
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


SCRIPT = """
import os, sys, time
from pathlib import Path
from bittern.data import open_dataset

epoch = open_dataset("images", sys.argv[1], image_size=8, workers=2).splits["train"].epoch(batch_size=4, seed=0)
next(epoch)
print(Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text(), flush=True)
time.sleep(60)
"""


def test_a_script_without_main_guard_streams_and_its_workers_end_with_it(folder: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    process = subprocess.Popen([sys.executable, script, folder / "images"], stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        pids = process.stdout.readline().split()
        process.kill()
    assert len(pids) == 2
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [pid for pid in pids if is_running(pid)]


def is_running(pid: str) -> bool:
    """Whether a process runs; one that has ended and that nobody waits for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
