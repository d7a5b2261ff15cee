"""Every reader of images opens them by one function, with one list of formats and one error."""

import io
import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, features

from bittern import _image_files
from bittern._image_files import FORMATS, ImageError, open_image, read_image_file
from bittern.data import DataError, open_dataset
from bittern.runtime import Metadata, read_pixels

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 32 32\n%%EndComments\nshowpage\n"


def with_files(content: bytes, folder: Path) -> None:
    read_pixels([_written(content, folder / "photo.jpg")], Metadata("0.1.0", "1.5.1", "net", (1, 3, 32, 32), (1, 2)))


def with_folder(content: bytes, folder: Path) -> None:
    for split in ("train", "test"):
        _written(content, folder / split / "cat" / "photo.jpg")
    for _ in open_dataset("images", folder, workers=1).splits["test"].epoch(batch_size=1, seed=0):
        pass


def with_parquet(content: bytes, folder: Path) -> None:
    table = pa.table({"img": [{"bytes": content}], "label": [0]})
    for split in ("train", "test"):
        pq.write_table(table, folder / f"{split}-00000-of-00001.parquet")
    open_dataset("cifar10", folder)


READERS: dict[str, Callable[[bytes, Path], None]] = {
    "files": with_files,
    "image folder": with_folder,
    "parquet": with_parquet,
}


def _written(content: bytes, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_no_reader_starts_ghostscript(
    read: Callable[[bytes, Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs, data = tmp_path / "bin", tmp_path / "data"
    programs.mkdir()
    data.mkdir()
    for name in ("gs", "gswin32c", "gswin64c"):
        (programs / name).write_text(f"#!/bin/sh\ntouch {tmp_path / 'started'}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(ValueError, match="is not an image, or of an unknown format"):
        read(EPS, data)
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize("encoding", FORMATS)
def test_every_format_of_the_list_is_read(encoding: str) -> None:
    if encoding == "WEBP" and not features.check("webp"):
        pytest.skip("this Pillow lacks WebP")
    file = io.BytesIO()
    Image.new("RGB", (5, 3)).save(file, encoding)
    assert open_image(file.getvalue()).size == (5, 3)


@pytest.mark.parametrize("encoding", ["EPS", "PDF", "ICO", "TGA", "PCX", "SGI", "JPEG2000"])
def test_no_other_format_is_read(encoding: str) -> None:
    file = io.BytesIO()
    try:
        Image.new("RGB", (32, 32)).save(file, encoding)
    except (KeyError, OSError):
        pytest.skip(f"this Pillow does not write {encoding}")
    with pytest.raises(ImageError, match="is not an image, or of an unknown format"):
        open_image(file.getvalue())


def test_a_pipe_is_refused_without_waiting_for_its_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "photo.jpg")
    with pytest.raises(OSError, match="this is a pipe; give an ordinary file"):
        read_image_file(tmp_path / "photo.jpg")


@pytest.mark.parametrize(("path", "what"), [("/dev/zero", "this is a device"), ("/dev", "Is a directory")])
def test_only_files_are_read(path: str, what: str) -> None:
    with pytest.raises(OSError, match=what):
        read_image_file(path)


def test_files_and_images_beyond_the_limits_are_refused_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open(tmp_path / "huge.jpg", "wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ImageError, match=r"is a file of 1,099,511,627,776 bytes, the limit is 536,870,912"):
        read_image_file(tmp_path / "huge.jpg")
    monkeypatch.setattr(_image_files, "MAX_PIXELS", 14)
    content = io.BytesIO()
    Image.new("RGB", (5, 3)).save(content, "PNG")
    with pytest.raises(ImageError, match="has 5 x 3 pixels, the limit is 14: make it smaller"):
        open_image(content.getvalue())


def test_a_folder_of_nothing_but_bad_images_is_named_as_such(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"photo\.jpg"):
        with_folder(b"<html>", tmp_path)
