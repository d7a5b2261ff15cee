"""Finding the images of a folder."""

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from bittern.data import DataError, open_dataset
from bittern.data.images import index_images
from data.image_files import image, write_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_folder(tmp_path, {"train": 7, "test": 4})
    return tmp_path


def test_classes_are_the_sorted_folders_of_train_and_number_the_labels(folder: Path) -> None:
    listing = index_images(folder, ("train", "test"), None)
    assert listing.class_names == ("ant", "bee", "cow")
    train = listing.splits["train"]
    assert [train.name(i) for i in range(7)] == [
        "train/ant/00000.png", "train/ant/00003.png", "train/ant/00006.png",
        "train/bee/00001.png", "train/bee/00004.png", "train/cow/00002.png", "train/cow/00005.png",
    ]  # fmt: skip
    assert train.labels.tolist() == [0, 0, 0, 1, 1, 2, 2]
    assert train.locate(3) == (str(folder / "train/bee/00001.png"), 0, -1)


@pytest.mark.parametrize("name", ["test", "val"])
def test_the_test_split_may_be_called_val(name: str, tmp_path: Path) -> None:
    write_folder(tmp_path, {"train": 3, name: 2})
    assert index_images(tmp_path, ("test",), None).splits["test"].name(0) == f"{name}/ant/00000.png"


def test_a_class_without_test_images_keeps_the_numbers_of_the_others(folder: Path) -> None:
    shutil.rmtree(folder / "test" / "bee")
    assert index_images(folder, ("test",), None).splits["test"].labels.tolist() == [0, 0, 2]


def test_folders_in_folders_other_suffixes_hidden_files_and_capitals(folder: Path) -> None:
    deep = folder / "train" / "ant" / "a" / "b"
    deep.mkdir(parents=True)
    for name in ("00009.JPEG", "notes.txt", "._00003.png", "Zürich.webp"):
        (deep / name).write_bytes(image(9))
    (folder / "train" / ".cache").mkdir()
    (folder / "train" / "readme.jpg").write_bytes(b"")
    train = index_images(folder, ("train",), None).splits["train"]
    names = [train.name(i) for i in range(len(train.labels))]
    assert [n for n in names if "/b/" in n] == ["train/ant/a/b/00009.JPEG", "train/ant/a/b/Zürich.webp"]
    assert len(names) == 9


def listed(folder: Path, split: str = "train") -> tuple[list[str], dict[str, str]]:
    """Names of the images of a split, and what was left out."""
    files = index_images(folder, (split,), None).splits[split]
    return [files.name(i) for i in range(len(files.labels))], dict(files.notes)


LINKS: dict[str, Callable[[Path], object]] = {
    "to the class": lambda f: (f / "train/ant/up").symlink_to("."),
    "to the split": lambda f: (f / "train/ant/up").symlink_to(".."),
    "to the data": lambda f: (f / "train/ant/up").symlink_to(f),
    "to the root of all": lambda f: (f / "train/ant/up").symlink_to("/"),
    "to another class": lambda f: (f / "train/ant/up").symlink_to("../bee"),
    "two to each other": lambda f: ((f / "train/ant/up").symlink_to(".."), (f / "train/bee/up").symlink_to("..")),
}


@pytest.mark.parametrize("make", LINKS.values(), ids=LINKS)
def test_a_link_to_a_folder_above_or_beside_adds_no_image_and_is_noted(
    make: Callable[[Path], object], folder: Path
) -> None:
    names, notes = listed(folder)
    assert notes == {}
    make(folder)
    assert listed(folder)[0] == names
    assert "is a link to a folder" in listed(folder)[1]["train/ant/up"]


def test_links_to_files_and_to_folders_elsewhere_are_followed_once(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "00030.png").write_bytes(image(30))
    for name in ("more", "again"):
        (folder / "train/ant" / name).symlink_to(elsewhere)
    (folder / "train/ant/00033.png").symlink_to(elsewhere / "00030.png")
    (folder / "train/dog").symlink_to(elsewhere / "dog")
    (elsewhere / "dog").mkdir()
    (elsewhere / "dog/1.png").write_bytes(image(1))
    names, notes = listed(folder)
    assert [n for n in names if "/0003" in n] == ["train/ant/00033.png", "train/ant/more/00030.png"]
    assert "train/dog/1.png" in names
    assert list(notes) == ["train/ant/more/dog", "train/ant/again"]


def make_socket(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(path)


NO_FILES: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "link to a device without an end": lambda p: p.symlink_to("/dev/zero"),
    "link to nothing": lambda p: p.symlink_to("nothing"),
    "link to itself": lambda p: p.symlink_to(p),
    "socket": lambda p: make_socket(os.path.relpath(p)),  # its name may have 100 characters
}


@pytest.mark.parametrize("make", NO_FILES.values(), ids=NO_FILES)
def test_what_is_no_file_is_left_out_and_noted(
    make: Callable[[Path], object], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    names, _ = listed(folder)
    make(folder / "train/ant/x.jpg")
    assert listed(folder) == (names, {"train/ant/x.jpg": "is no file: a pipe, a device, or a link to nothing"})


def test_two_classes_in_one_folder_are_refused(folder: Path) -> None:
    (folder / "train/dog").symlink_to("ant")
    with pytest.raises(DataError, match=r"train/ant and .*/train/dog are the same folder"):
        listed(folder)


def test_a_class_whose_name_is_not_utf8_is_refused(folder: Path) -> None:
    os.mkdir(os.fsencode(folder / "train") + b"/\xff")
    with pytest.raises(DataError, match=r"name is not UTF-8, b'\\xff': rename it"):
        listed(folder)


def test_progress_counts_the_classes(folder: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    open_dataset("images", folder, progress=lambda *event: seen.append(event))
    assert seen == [(f"listing {split}", done, 3) for split in ("train", "test") for done in (1, 2, 3)]


def empty_class(folder: Path) -> None:
    (folder / "train" / "eel").mkdir()
    (folder / "train" / "eel" / "1.txt").touch()


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no train": (
        lambda f: shutil.rmtree(f / "train"),
        r"has no folder 'train' \(it holds test\); expected train/CLASS",
    ),
    "no test": (lambda f: shutil.rmtree(f / "test"), r"has no folder 'test' or 'val' \(it holds train\)"),
    "empty folder": (lambda f: [shutil.rmtree(f / s) for s in ("train", "test")], r"'train' \(it is empty\)"),
    "no classes": (
        lambda f: [shutil.rmtree(p) for p in (f / "train").iterdir()],
        r"train has no class folders \(it is empty\); expected train/CLASS/\*\.jpg",
    ),
    "class without images": (empty_class, r"train/eel holds no image files \(\.bmp, .*each class needs at least one"),
    "other classes in test": (
        lambda f: (f / "test" / "dog").mkdir(),
        r"test has class folders that .*train lacks: dog; train must have every class",
    ),
    "test without images": (
        lambda f: [p.unlink() for p in (f / "test").rglob("*.png")],
        r"test holds no image files",
    ),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGE.values(), ids=DAMAGE)
def test_a_folder_of_another_layout_is_refused(folder: Path, damage: Callable[[Path], object], message: str) -> None:
    damage(folder)
    with pytest.raises(DataError, match=message):
        open_dataset("images", folder)
