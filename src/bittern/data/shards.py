"""Tar shards in WebDataset's layout: ``train-000000.tar`` ... with members KEY.jpg and KEY.cls (the label as text).

Shards are never unpacked: an index locates each image, so that any image can be read by itself. The index is built once
and stored beside the shards.
"""

import io
import json
import os
import re
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import numpy.typing as npt

from bittern._fields import short
from bittern._files import open_file, write_atomically
from bittern.data.errors import DataError, holds, some
from bittern.data.images import TEST_NAMES
from bittern.data.samples import ENCODINGS, Listing, Location, Progress

CLASSES_FILE = "classes.txt"
"""Optional file beside the shards: a class name per line, in the order of the labels."""

_SHARD = re.compile(r"-(\d+)\.tar$")
_MEMBER = re.compile(r"(?P<key>(?:.*/)?[^./][^./]*)\.(?P<suffix>[^/]+)")
_NAME_LENGTH = 1000
"""Longest name of an image in a shard; as many bytes are kept for every image."""
_HEADER_LENGTH = 1 << 20
"""More of a shard than an image's name and attributes can take is never read at once for them."""
_INDEX_SHARE = 4
"""An index is smaller than this multiple of its shards: an image takes at least three blocks of 512 bytes in them."""
_LABEL = re.compile(rb"\s*(\d{1,9})\s*")
_BLOCK = tarfile.BLOCKSIZE
_VERSION = 1  # of the index file
_COLUMNS = {"shard": np.int32, "keys": None, "offsets": np.int64, "sizes": np.int64, "labels": np.int64}
"""The arrays of `ShardMembers` and their types; None is that of the longest key."""


@dataclass(frozen=True)
class ShardMembers:
    """The images in the shards of a split: image i is ``keys[i]``, in file ``shards[shard[i]]``."""

    folder: Path
    shards: tuple[str, ...]
    shard: npt.NDArray[np.int32]
    keys: npt.NDArray[np.bytes_]
    offsets: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    notes: tuple[tuple[str, str], ...]

    def name(self, index: int) -> str:
        return f"{self.shards[self.shard[index]]}/{os.fsdecode(self.keys[index])}"

    def locate(self, index: int) -> Location:
        path = os.path.join(self.folder, self.shards[self.shard[index]])
        return Location(path, int(self.offsets[index]), int(self.sizes[index]))


def index_shards(folder: Path, splits: tuple[str, ...], progress: Progress | None) -> Listing:
    """Every image of ``splits``. A truncated shard is used as far as it goes, and noted.

    Raises:
        DataError: no shards, missing or duplicate shard numbers, images without label or labels without image, a label
            that is not a number or has no class.
    """
    class_names = _class_names(folder)
    listed: dict[str, ShardMembers] = {}
    # Without names, the labels of train determine the number of classes.
    for split in splits if class_names else dict.fromkeys(("train", *splits)):
        listed[split] = _open_split(folder, ("train",) if split == "train" else TEST_NAMES, progress)
    if class_names is None:
        train = listed["train"]
        largest = int(train.labels.max())
        if largest >= len(train.labels):
            raise DataError(
                f"{train.name(int(train.labels.argmax()))} has label {largest}, but train only {len(train.labels)} "
                f"images; if that is right, name the classes in {folder / CLASSES_FILE}"
            )
        class_names = tuple(map(str, range(largest + 1)))
    for members in listed.values():
        worst = int(members.labels.argmax())
        if members.labels[worst] >= len(class_names):
            known = CLASSES_FILE if (folder / CLASSES_FILE).exists() else "train"
            raise DataError(
                f"{members.name(worst)} in {folder} has label {members.labels[worst]}, but {known} has the "
                f"{len(class_names)} classes 0..{len(class_names) - 1}"
            )
    return Listing(class_names, {split: listed[split] for split in splits})


def _class_names(folder: Path) -> tuple[str, ...] | None:
    path = folder / CLASSES_FILE
    if not path.exists():
        return None
    try:
        with open_file(path) as file:
            names = tuple(file.read().decode().splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if not names or not all(name.strip() for name in names):
        raise DataError(f"{path} must have a class name on each line, without empty lines")
    return names


def _open_split(folder: Path, names: tuple[str, ...], progress: Progress | None) -> ShardMembers:
    """The index of the first of ``names`` that has shards: the stored one if it is current, else a new one."""
    for name in names:
        paths: dict[int, Path] = {}
        for path in sorted(folder.glob(f"{name}-*.tar")):
            if (match := _SHARD.search(path.name)) and (other := paths.setdefault(int(match[1]), path)) != path:
                raise DataError(
                    f"{other} and {path.name} have the same number; number the shards of {name} consecutively"
                )
        if paths:
            break
    else:
        raise DataError(
            f"no {' or '.join(f'{name}-*.tar' for name in names)} in {folder} ({holds(folder)}); "
            "expected shards train-000000.tar ... and test-000000.tar ... or val-000000.tar ..."
        )
    missing = sorted(set(range(max(paths))) - set(paths))
    if missing:
        raise DataError(
            f"{folder} lacks shards {some(missing)} of {name}-*.tar, whose numbers go from 0 to {max(paths)}; "
            "download them, or number the shards without gaps"
        )
    ordered = [paths[number] for number in sorted(paths)]
    kept = folder / f".bittern-index-{name}.npz"
    state = [[p.name, p.stat().st_size, p.stat().st_mtime_ns] for p in ordered]
    index = _read_index(kept, folder, state)
    if index is None:
        index = _build_index(folder, name, ordered, progress)
        _write_index(kept, index, state)
    return index


def _build_index(folder: Path, name: str, paths: list[Path], progress: Progress | None) -> ShardMembers:
    columns: dict[str, list[Any]] = {column: [] for column in _COLUMNS}
    notes = []
    for number, path in enumerate(paths):
        if progress:
            progress(f"indexing {name}", number, len(paths))
        samples, note = _scan(path)
        if note is not None:
            notes.append((path.name, note))
        for sample in samples:
            for column, value in zip(columns.values(), (number, *sample), strict=True):
                column.append(value)
    if progress:
        progress(f"indexing {name}", len(paths), len(paths))
    if not columns["keys"]:
        why = f": {notes[0][0]} {notes[0][1]}" if notes else ""
        raise DataError(f"the {len(paths)} shards {name}-*.tar in {folder} hold no images{why}")
    arrays = {column: np.array(columns[column], dtype) for column, dtype in _COLUMNS.items()}
    return ShardMembers(folder, tuple(p.name for p in paths), notes=tuple(notes), **arrays)


def _scan(path: Path) -> tuple[list[tuple[bytes, int, int, int]], str | None]:
    """(member, offset, size, label) of every image in a shard, and what is wrong with its end, if anything."""
    images: dict[str, tuple[str, int, int]] = {}
    labels: dict[str, int] = {}
    reason, end = "", 0
    with open_file(path) as file:
        length = file.seek(0, os.SEEK_END)
        file.seek(0)
        try:
            with tarfile.open(fileobj=cast(IO[bytes], _Headers(file)), mode="r:") as tar:
                for member in tar:
                    if member.offset_data + member.size > length:
                        break
                    end = member.offset_data + -(-member.size // _BLOCK) * _BLOCK
                    if len(member.name) > _NAME_LENGTH:
                        raise DataError(
                            f"{path} has a member whose name is {len(member.name)} characters long, "
                            f"{short(member.name)}; names may have {_NAME_LENGTH}"
                        )
                    match = _MEMBER.fullmatch(member.name)
                    if match is None or not member.isfile() or member.issparse():
                        continue
                    key, suffix = match["key"], match["suffix"].lower()
                    if suffix == "cls":
                        labels[key] = _read_label(path, member, file)
                    elif f".{suffix}" in ENCODINGS:
                        if key in images:
                            raise DataError(f"{path} has two images {images[key][0]} and {member.name}; remove one")
                        images[key] = (member.name, member.offset_data, member.size)
        except (tarfile.TarError, ValueError, OverflowError) as error:
            if isinstance(error, DataError):
                raise
            reason = f" ({error})"
        # A complete tar ends in blocks of zeros; tarfile stops at anything else as if it were the end.
        file.seek(end)
        whole = file.read(_BLOCK) == bytes(_BLOCK)
    if whole:
        bare = [images[key][0] for key in images.keys() - labels.keys()]
        if bare:
            raise DataError(f"{path} has images without label, such as {min(bare)}: each KEY.jpg needs a KEY.cls")
        lone = labels.keys() - images.keys()
        if lone:
            raise DataError(
                f"{path} has labels without image, such as {min(lone)}.cls: it needs {min(lone)}.jpg "
                f"(or {', '.join(sorted(ENCODINGS - {'.jpg'}))})"
            )
    samples = [
        (os.fsencode(name), offset, size, labels[key]) for key, (name, offset, size) in images.items() if key in labels
    ]
    note = f"is truncated or damaged at byte {end}{reason}; {len(samples)} images of it are used"
    return samples, None if whole else note


class _Headers:
    """A shard as ``tarfile`` reads it: headers, whose lengths are numbers in the file."""

    def __init__(self, file: io.BufferedReader) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int) -> bytes:
        if size > _HEADER_LENGTH:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self._file.read(size)


def _read_label(path: Path, member: tarfile.TarInfo, file: io.BufferedReader) -> int:
    file.seek(member.offset_data)
    text = file.read(min(member.size, 32))
    match = _LABEL.fullmatch(text)
    if match is None or member.size > 32:
        raise DataError(f"{path}: {member.name} holds {text!r}, not the number of a class (0, 1, ...)")
    return int(match[1])


def _read_index(path: Path, folder: Path, state: list[list[Any]]) -> ShardMembers | None:
    """The index in file ``path``; None if it is missing or damaged, or a shard's size or time has changed."""
    try:
        # np.load does not close a damaged file that it opened itself.
        with open_file(path) as file, np.load(file, allow_pickle=False) as stored:
            if sum(entry.file_size for entry in stored.zip.infolist()) > _INDEX_SHARE * sum(
                size for _, size, _ in state
            ):
                return None  # it would unpack to more than it can be
            head = json.loads(stored["head"].tobytes())
            if head["version"] != _VERSION or head["state"] != state:
                return None
            notes = tuple((str(name), str(reason)) for name, reason in head["notes"])
            arrays = {column: stored[column] for column in _COLUMNS}
    except (OSError, ValueError, KeyError, TypeError, EOFError, MemoryError, RecursionError, zipfile.BadZipFile):
        return None
    return (
        ShardMembers(folder, tuple(name for name, *_ in state), notes=notes, **arrays) if _fit(arrays, state) else None
    )


def _fit(arrays: dict[str, npt.NDArray[Any]], state: list[list[Any]]) -> bool:
    """Whether stored columns can be an index of shards whose (name, size, time) are ``state``."""
    keys, shard, offsets, sizes, labels = (arrays[c] for c in ("keys", "shard", "offsets", "sizes", "labels"))
    if keys.dtype.kind != "S" or any(arrays[c].dtype != dtype for c, dtype in _COLUMNS.items() if dtype is not None):
        return False
    if any(a.shape != (len(keys),) for a in arrays.values()) or not len(keys):
        return False
    if shard.min() < 0 or shard.max() >= len(state) or min(offsets.min(), sizes.min(), labels.min()) < 0:
        return False
    ends = np.array([size for _, size, _ in state], np.int64)[shard]
    return bool((sizes <= ends).all() and (offsets <= ends - sizes).all())


def _write_index(path: Path, index: ShardMembers, state: list[list[Any]]) -> None:
    head = json.dumps({"version": _VERSION, "state": state, "notes": index.notes}).encode()
    file = io.BytesIO()
    np.savez(file, head=np.frombuffer(head, np.uint8), **{column: getattr(index, column) for column in _COLUMNS})
    try:
        write_atomically(path, file.getvalue())
    except OSError:
        return  # the folder is read-only: the index is built again next time
