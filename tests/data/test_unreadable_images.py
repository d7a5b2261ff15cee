"""Streamed images that cannot be read are named, replaced or left out; a split of mostly such images is refused."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bittern._image_files import MAX_BYTES
from bittern.data import DataError, ImageSource
from bittern.data.order import batches
from data.image_files import members, numbers, write_folder, write_shard, write_shards
from data.streams import COUNT, number_at, opened, seen


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


KINDS: dict[str, Callable[[Path], object]] = {
    "empty": lambda p: p.write_bytes(b""),
    "cut": lambda p: p.write_bytes(cut(p.read_bytes())),
    "text": lambda p: p.write_text("404"),
    "gone": lambda p: p.unlink(),
    "a folder now": lambda p: (p.unlink(), p.mkdir()),
    "a link to nowhere": lambda p: (p.unlink(), p.symlink_to("nowhere")),
    "a pipe": lambda p: (p.unlink(), os.mkfifo(p)),
    "a device without an end": lambda p: (p.unlink(), p.symlink_to("/dev/zero")),
    "too large": lambda p: os.truncate(p, MAX_BYTES + 1),
}
BAD = set(range(len(KINDS)))


@pytest.fixture
def spoilt(tmp_path: Path) -> ImageSource:
    """30 images, some of them damaged after they were listed."""
    write_folder(tmp_path, {"train": COUNT, "test": COUNT})
    source = opened(tmp_path)
    for number, spoil in enumerate(KINDS.values()):
        spoil(tmp_path / "train" / ("ant", "bee", "cow")[number % 3] / f"{number:05}.png")
    return source


def test_bad_images_are_named_with_a_reason_once(spoilt: ImageSource) -> None:
    for seed in range(2):
        list(spoilt.epoch(batch_size=5, seed=seed))
    assert sorted(int(name[-9:-4]) for name, _ in spoilt.skipped) == sorted(BAD)
    reasons = {int(name[-9:-4]): reason for name, reason in spoilt.skipped}
    assert reasons[0] == reasons[2] == "is not an image, or of an unknown format"
    assert "No such file or directory" in reasons[3]
    assert "Is a directory" in reasons[4]
    assert "this is a pipe; give an ordinary file" in reasons[6]
    assert "this is a device" in reasons[7]
    assert f"the limit is {MAX_BYTES:,}" in reasons[8]


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
    assert numbers(spoilt.take(COUNT).images) == [
        n for label in range(3) for n in range(label, COUNT, 3) if n not in BAD
    ]


def test_a_batch_of_bad_images_alone_does_not_come(spoilt: ImageSource) -> None:
    found = seen(spoilt.epoch(batch_size=1, seed=0, shuffle=False, drop_last=False))
    assert len(found) == COUNT - len(BAD)


@pytest.mark.parametrize("drop_last", [True, False])
def test_a_split_that_is_mostly_bad_is_refused(tmp_path: Path, drop_last: bool) -> None:
    write_folder(tmp_path, {"train": 300, "test": 1})
    source = opened(tmp_path)
    for path in sorted((tmp_path / "train").rglob("*.png"))[:250]:
        path.write_bytes(b"")
    with pytest.raises(DataError, match=r"more than half of those tried, such as train/\w+/\d+\.png \(is not an image"):
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
        ("train-0.tar/00001.png", "is not an image, or of an unknown format"),
    ]
    assert "is truncated" in source.skipped[0][1]


def test_a_shard_that_shrinks_under_way_costs_its_images(tmp_path: Path) -> None:
    write_shards(tmp_path, {"train": (8, 8), "test": (1,)})
    source = opened(tmp_path, "image-shards")
    path = tmp_path / "train-000001.tar"
    path.write_bytes(path.read_bytes()[:3000])
    assert sorted(n for b in seen(source.epoch(batch_size=4, seed=0, drop_last=False)) for n in b) == list(range(9))
    assert "bytes before the image does" in source.skipped[-1][1]
