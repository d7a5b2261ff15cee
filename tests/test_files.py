import errno
import os
from pathlib import Path

import pytest

from bittern._files import write_atomically


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.pte"
    write_atomically(path, b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_written_file_has_ordinary_permissions(tmp_path: Path) -> None:
    path, plain = tmp_path / "model.pte", tmp_path / "plain"
    write_atomically(path, b"data")
    plain.write_bytes(b"data")
    assert path.stat().st_mode == plain.stat().st_mode
