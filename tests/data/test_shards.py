"""Finding the images in tar shards."""

import gzip
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bittern.data import DataError, open_dataset, shards
from bittern.data.samples import Listing
from bittern.data.shards import index_shards
from data.image_files import image, members, write_shard, write_shards


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_shards(tmp_path, {"train": (3, 0, 4), "test": (2,)})
    return tmp_path


def index(folder: Path) -> Listing:
    return index_shards(folder, ("train", "test"), None)


def contents(listing: Listing, split: str = "train") -> list[bytes]:
    samples = listing.splits[split]
    locations = [samples.locate(i) for i in range(len(samples.labels))]
    return [Path(path).read_bytes()[offset : offset + size] for path, offset, size in locations]


def test_every_image_is_found_in_its_shard_with_its_label(folder: Path) -> None:
    listing = index(folder)
    train = listing.splits["train"]
    assert contents(listing) == [image(number) for number in range(7)]
    assert train.labels.tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert train.name(3) == "train-000002.tar/00003.png"
    assert train.notes == ()
    assert contents(listing, "test") == [image(0), image(1)]


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_of_any_order_name_and_format_of_tar(form: int, tmp_path: Path) -> None:
    deep = "train/ä b/" if form != tarfile.USTAR_FORMAT else "train/"
    long = deep + "n" * (120 if form != tarfile.USTAR_FORMAT else 60)
    found = [
        (f"{long}.cls", b" 1\n"),
        ("./b.cls", b"0"),
        (".hidden.png", b"x"),
        ("README", b"x"),
        (f"{long}.JPG", image(1, encoding="jpeg")),
        ("./b.webp", image(0, encoding="webp")),
        ("b.seg.png", b"a mask, whose key is b and suffix seg.png"),
    ]
    write_shard(tmp_path / "train-0.tar", found, form)
    listing = index_shards(tmp_path, ("train",), None)
    assert contents(listing) == [found[4][1], found[5][1]]
    assert listing.splits["train"].labels.tolist() == [1, 0]
    assert listing.splits["train"].name(0) == f"train-0.tar/{long}.JPG"


def test_classes_are_the_lines_of_a_file_or_else_the_labels_of_train(folder: Path) -> None:
    assert index(folder).class_names == ("0", "1", "2")
    (folder / "classes.txt").write_text("ant\nbee\nthe cow\neel\n")
    assert index(folder).class_names == ("ant", "bee", "the cow", "eel")


def test_train_is_not_needed_where_the_classes_are_named(tmp_path: Path) -> None:
    write_shards(tmp_path, {"val": (2,)})
    (tmp_path / "classes.txt").write_text("ant\nbee\n")
    assert list(index_shards(tmp_path, ("test",), None).splits) == ["test"]
    (tmp_path / "classes.txt").unlink()
    with pytest.raises(DataError, match=r"no train-\*\.tar in"):
        index_shards(tmp_path, ("test",), None)


def refuse(*_: object) -> None:
    raise AssertionError


def test_the_index_is_built_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = index(folder)
    monkeypatch.setattr(shards, "_scan", refuse)
    assert contents(index(folder)) == contents(before)
    assert index(folder).splits["train"].labels.tolist() == before.splits["train"].labels.tolist()


def rewrite(folder: Path) -> None:
    write_shard(folder / "train-000000.tar", members(50, 3))


def touch(folder: Path) -> None:
    path = folder / "train-000002.tar"
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))


CHANGES: dict[str, Callable[[Path], object]] = {
    "shard written again": rewrite,
    "other time": touch,
    "shard added": lambda f: write_shard(f / "train-000003.tar", members(7, 2)),
    "shard removed": lambda f: (f / "train-000002.tar").unlink(),
    "index cut short": lambda f: (i := f / ".bittern-index-train.npz").write_bytes(i.read_bytes()[:-200]),
    "index of nothing": lambda f: (f / ".bittern-index-train.npz").write_bytes(b""),
    "index of text": lambda f: (f / ".bittern-index-train.npz").write_bytes(b"hello"),
    "bytes of the index turned": lambda f: (i := f / ".bittern-index-train.npz").write_bytes(
        i.read_bytes()[:900] + bytes(b ^ 255 for b in i.read_bytes()[900:1400]) + i.read_bytes()[1400:]
    ),
}


def edit_index(**changes: Callable[[Any], Any]) -> Callable[[Path], None]:
    """Changes columns of the stored index, and leaves the rest of it valid."""

    def edit(folder: Path) -> None:
        path = folder / ".bittern-index-train.npz"
        with np.load(path) as stored:
            columns = {name: changes.get(name, lambda c: c)(stored[name]) for name in stored.files}
        np.savez_compressed(path, **columns)

    return edit


CHANGES |= {
    "a column is short": edit_index(labels=lambda c: c[:-1]),
    "a column is a number": edit_index(labels=lambda c: c[0]),
    "a column of words": edit_index(offsets=lambda c: c.astype(str)),
    "labels below 0": edit_index(labels=lambda c: -1 - c),
    "a shard that is not there": edit_index(shard=lambda c: c + 9),
    "images behind the end": edit_index(offsets=lambda c: c + 10**6),
    "images that are whole files": edit_index(sizes=lambda c: c * 0 - 1),
    "a bomb": edit_index(keys=lambda c: c.astype("S1000000")),
    "no image": edit_index(**dict.fromkeys(("keys", "labels", "offsets", "sizes", "shard"), lambda c: c[:0])),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_an_index_that_does_not_fit_is_built_again(
    folder: Path, change: Callable[[Path], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    index(folder)
    change(folder)
    expected = [c for p in sorted(folder.glob("train-*.tar")) for c in images_of(p)]
    assert contents(index(folder)) == expected
    monkeypatch.setattr(shards, "_scan", refuse)
    assert contents(index(folder)) == expected


def images_of(path: Path) -> list[bytes]:
    with tarfile.open(path) as tar:
        return [tar.extractfile(m).read() for m in tar if m.name.endswith(".png")]  # type: ignore[union-attr]


def test_a_folder_that_cannot_be_written_to_will_do(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(shards, "write_atomically", read_only)
    assert len(contents(index(folder))) == 7
    assert not list(folder.glob(".bittern*"))


def test_progress_counts_the_shards(folder: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    index_shards(folder, ("train",), lambda *event: seen.append(event))
    assert seen == [("indexing train", done, 3) for done in range(4)]


def test_a_shard_cut_anywhere_is_used_up_to_there_and_noted(tmp_path: Path) -> None:
    path = tmp_path / "train-0.tar"
    path.with_name(".bittern-index-train.npz").mkdir()  # so that no index is written, which would be slow
    write_shard(path, members(0, 4))
    whole = path.read_bytes()
    with tarfile.open(path) as tar:
        found = list(tar)
    edges = {0, len(whole)} | {edge for m in found for edge in (m.offset, m.offset_data, m.offset_data + m.size)}
    # Labels come last: a sample is complete where one ends.
    ends = [m.offset_data + m.size for m in found if m.name.endswith(".cls")]
    for length in sorted({edge + step for edge in edges for step in (-1, 0, 1, 100)}):
        if not 0 <= length < len(whole):
            continue
        path.write_bytes(whole[:length])
        complete = sum(end <= length for end in ends)
        if complete == 0:
            with pytest.raises(DataError, match=r"hold no images: train-0\.tar is truncated or damaged at byte \d+"):
                index_shards(tmp_path, ("train",), None)
            continue
        listing = index_shards(tmp_path, ("train",), None)
        assert contents(listing) == [image(number) for number in range(complete)]
        notes = listing.splits["train"].notes
        if length >= -(-ends[-1] // 512) * 512 + 512:
            assert notes == ()
        else:
            assert [name for name, _ in notes] == ["train-0.tar"]
            assert notes[0][1].endswith(f"{complete} images of it are used")


def test_what_was_noted_stays_in_the_index(folder: Path) -> None:
    path = folder / "train-000002.tar"
    path.write_bytes(path.read_bytes()[:6000])
    assert index(folder).splits["train"].notes == index(folder).splits["train"].notes != ()


def test_a_shard_damaged_in_its_middle_is_noted(folder: Path) -> None:
    path = folder / "train-000002.tar"
    content = bytearray(path.read_bytes())
    with tarfile.open(path) as tar:
        second = [m for m in tar if m.name.endswith(".png")][1]
    content[second.offset : second.offset + 512] = b"\xff" * 512
    path.write_bytes(content)
    listing = index(folder)
    assert contents(listing) == [image(number) for number in range(4)]
    assert listing.splits["train"].notes[0][1].startswith(f"is truncated or damaged at byte {second.offset}")


def shard(folder: Path, *found: tuple[str, bytes]) -> None:
    write_shard(folder / "train-000000.tar", found)


PNG = image(0)
DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no train": (
        lambda f: [p.unlink() for p in f.glob("train*")],
        r"no train-\*\.tar in .* \(it holds test-000000\.tar\); expected shards train-000000\.tar",
    ),
    "no test": (lambda f: (f / "test-000000.tar").unlink(), r"no test-\*\.tar or val-\*\.tar in"),
    "shard missing": (
        lambda f: [(f / "train-000001.tar").unlink(), (f / "train-000000.tar").unlink()],
        r"lacks shards 0, 1 of train-\*\.tar, whose numbers go from 0 to 2; download them",
    ),
    "a number twice": (
        lambda f: (f / "train-000001.tar").rename(f / "train-b-000000.tar"),
        r"/train-000000\.tar and train-b-000000\.tar have the same number; number the shards of train consecutively",
    ),
    "label missing": (
        lambda f: shard(f, ("a.png", PNG), ("b.png", PNG), ("a.cls", b"0")),
        r"train-000000\.tar has images without label, such as b\.png: each KEY\.jpg needs a KEY\.cls",
    ),
    "image missing": (
        lambda f: shard(f, ("a.png", PNG), ("a.cls", b"0"), ("b.cls", b"0"), ("b.npy", b"")),
        r"train-000000\.tar has labels without image, such as b\.cls: it needs b\.jpg \(or \.bmp,",
    ),
    "two images": (
        lambda f: shard(f, ("a.png", PNG), ("a.jpg", PNG), ("a.cls", b"0")),
        r"train-000000\.tar has two images a\.png and a\.jpg; remove one",
    ),
    "label a word": (
        lambda f: shard(f, ("a.png", PNG), ("a.cls", b"cat")),
        r"train-000000\.tar: a\.cls holds b'cat', not the number of a class",
    ),
    "label negative": (lambda f: shard(f, ("a.png", PNG), ("a.cls", b"-1")), r"a\.cls holds b'-1', not the number"),
    "label empty": (lambda f: shard(f, ("a.png", PNG), ("a.cls", b"")), r"a\.cls holds b'', not the number"),
    "label long": (lambda f: shard(f, ("a.png", PNG), ("a.cls", b" " * 99 + b"1")), r"not the number of a class"),
    "label of a hash": (
        lambda f: shard(f, ("a.png", PNG), ("a.cls", b"123456789")),
        r"train-000000\.tar/a\.png has label 123456789, but train only 5 images; .*classes\.txt",
    ),
    "other classes in test": (
        lambda f: write_shard(f / "test-000000.tar", [("a.png", PNG), ("a.cls", b"3")]),
        r"test-000000\.tar/a\.png in .* has label 3, but train has the 3 classes 0\.\.2",
    ),
    "too few classes named": (
        lambda f: (f / "classes.txt").write_text("ant\nbee\n"),
        r"train-000000\.tar/00002\.png in .* has label 2, but classes\.txt has the 2 classes 0\.\.1",
    ),
    "classes with an empty line": (
        lambda f: (f / "classes.txt").write_text("ant\n\nbee\n"),
        r"classes\.txt must have a class name on each line",
    ),
    "classes of no text": (lambda f: (f / "classes.txt").write_bytes(b"\xff\xfe"), r"classes\.txt cannot be read"),
    "no images": (
        lambda f: write_shard(f / "test-000000.tar", []),
        r"the 1 shards test-\*\.tar in .* hold no images$",
    ),
    "compressed": (
        lambda f: (p := f / "test-000000.tar").write_bytes(gzip.compress(p.read_bytes())),
        r"hold no images: test-000000\.tar is truncated or damaged at byte 0",
    ),
}


def sparse(path: Path, head: bytes, size: int) -> None:
    path.write_bytes(head)
    os.truncate(path, size)


def gnu_name_of(size: int) -> bytes:
    """A tar's header of a member's long name, which says that the name has ``size`` bytes."""
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, size
    return info.tobuf(tarfile.GNU_FORMAT)


DAMAGE |= {
    "a name of a megabyte": (
        lambda f: shard(f, ("x" * 10**6 + ".png", PNG)),
        r"train-000000\.tar has a member whose name is 1000004 characters long, 'xx.*; names may have 1000",
    ),
    "a name of many folders": (
        lambda f: shard(f, ("a/" * 400_000 + "b.png", PNG)),
        "has a member whose name is 800005 characters long",
    ),
    "a name that is said to have 8 GB": (
        lambda f: [sparse(p, gnu_name_of(8 * 10**9), 9 * 10**9) for p in f.glob("train-*.tar")],
        r"hold no images: train-000000\.tar is truncated or damaged at byte 0 \(a header of 8000000000 bytes\)",
    ),
    "classes in a pipe": (lambda f: os.mkfifo(f / "classes.txt"), r"classes\.txt cannot be read: .*this is a pipe"),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGE.values(), ids=DAMAGE)
def test_shards_of_another_layout_are_refused(folder: Path, damage: Callable[[Path], object], message: str) -> None:
    damage(folder)
    with pytest.raises(DataError, match=message):
        open_dataset("image-shards", folder)
