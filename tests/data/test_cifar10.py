"""The parquet reader, on small generated files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from bittern.data import DataError, cifar10, load
from data.hf_parquet import pixels_of, png, write_cifar10, write_shard


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_cifar10(tmp_path, train=10, test=3)
    return tmp_path


def test_images_and_labels_come_as_written(folder: Path) -> None:
    splits = load("cifar10", folder)
    assert splits["train"].labels.tolist() == list(range(10))
    expected = torch.from_numpy(pixels_of(10)).permute(0, 3, 1, 2)
    assert torch.equal(splits["train"].images, expected)
    assert splits["train"].images.is_contiguous()
    assert len(splits["test"]) == 3


def test_the_held_out_images_are_the_last_of_train(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar10, "_HELD_OUT", 3)
    splits = load("cifar10-held-out", folder)
    assert [splits[name].labels.tolist() for name in ("train", "test")] == [[0, 1, 2, 3, 4, 5, 6], [7, 8, 9]]
    assert torch.equal(splits["test"].images, load("cifar10", folder)["train"].images[7:])


def test_shards_are_joined_in_order(tmp_path: Path) -> None:
    for shard in range(3):
        images = [png(p) for p in pixels_of(2, shard)]
        write_shard(tmp_path / f"test-0000{shard}-of-00003.parquet", images, [shard, shard])
    assert load("cifar10", tmp_path, splits=("test",))["test"].labels.tolist() == [0, 0, 1, 1, 2, 2]


def test_files_without_class_names_are_taken(tmp_path: Path) -> None:
    write_shard(tmp_path / "test-00000-of-00001.parquet", [png(pixels_of(1)[0])], [9], names=None)
    assert load("cifar10", tmp_path, splits=("test",))["test"].labels.tolist() == [9]


def test_progress_ends_at_the_number_of_images(folder: Path) -> None:
    seen = []
    load("cifar10", folder, progress=lambda *event: seen.append(event))
    assert ("decoding train", 10, 10) in seen
    assert seen[-1] == ("decoding test", 3, 3)


def one_image(folder: Path, image: bytes, label: int = 0, **options: Any) -> None:
    write_shard(folder / "test-00000-of-00001.parquet", [image], [label], **options)


def truncate(folder: Path) -> None:
    path = folder / "train-00000-of-00001.parquet"
    path.write_bytes(path.read_bytes()[:-100])


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no test split": (lambda f: (f / "test-00000-of-00001.parquet").unlink(), r"no test-\*\.parquet in .*train-00000"),
    "cut short": (truncate, r"train-00000-of-00001\.parquet is not a complete parquet file .*download it again"),
    "empty file": (lambda f: (f / "test-00000-of-00001.parquet").write_bytes(b""), "is not a complete parquet file"),
    "shard missing": (
        lambda f: (f / "train-00000-of-00001.parquet").rename(f / "train-00000-of-00002.parquet"),
        r"lacks shards \[1\] of the 2 of train",
    ),
    "two sets": (
        lambda f: [write_shard(f / f"train-0000{i}-of-00002.parquet", [], []) for i in range(2)],
        r"train-00000-of-00001\.parquet and train-00001-of-00002\.parquet belong to different sets",
    ),
    "a copy": (
        lambda f: write_shard(f / "train-copy.parquet", [], []),
        r"train-00000-of-00001\.parquet and train-copy\.parquet belong to different sets",
    ),
    "no rows": (lambda f: write_shard(f / "test-00000-of-00001.parquet", [], []), "holds no images"),
    "other columns": (
        lambda f: one_image(f, png(pixels_of(1)[0]), columns=("image", "label")),
        r"has no column 'img'; its columns are \['image', 'label'\]",
    ),
    "other classes": (lambda f: one_image(f, png(pixels_of(1)[0]), names=["cat", "dog"]), r"classes \['cat', 'dog'\]"),
    "broken image": (lambda f: one_image(f, b"\x89PNG broken"), "cannot read image 0 or one soon after"),
    "program instead of an image": (
        lambda f: one_image(f, b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 32 32\n%%EndComments\nshowpage\n"),
        "cannot read image 0 or one soon after: is not an image",  # an EPS would start Ghostscript
    ),
    "cut image": (lambda f: one_image(f, png(pixels_of(1)[0])[:200]), "cannot read image 0 or one soon after"),
    "other size": (lambda f: one_image(f, png(pixels_of(1, size=64)[0])), "64 x 64 pixels, expected 32 x 32"),
    "label out of range": (lambda f: one_image(f, png(pixels_of(1)[0]), 10), r"label must be 0\.\.9, got 10"),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_folder_is_refused_with_the_file_and_the_reason(
    folder: Path, damage: Callable[[Path], object], message: str
) -> None:
    damage(folder)
    with pytest.raises(DataError, match=message):
        load("cifar10", folder)


def test_files_are_checked_before_any_image_is_decoded(folder: Path) -> None:
    (folder / "test-00000-of-00001.parquet").write_bytes(b"PAR1")
    events = []
    with pytest.raises(DataError):
        load("cifar10", folder, progress=lambda *event: events.append(event))
    assert not events


def test_a_missing_empty_or_unnamed_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data folder .*nowhere does not exist; 'cifar10' needs a folder with train-"):
        load("cifar10", tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"no train-\*\.parquet in .* \(it is empty\)"):
        load("cifar10", tmp_path)
    with pytest.raises(DataError, match="is read from a folder: pass it"):
        load("cifar10")
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="is a file"):
        load("cifar10", tmp_path / "file")


def test_unknown_names_are_refused_with_the_known_ones(folder: Path) -> None:
    with pytest.raises(
        ValueError, match=r"unknown data set 'cifar': did you mean 'cifar10'\? Known are cifar10, .*digits, "
    ):
        load("cifar")
    with pytest.raises(ValueError, match="split must be one of 'train', 'test', got 'valid'"):
        load("cifar10", folder, splits=("valid",))
