"""Files of a study in whatever state they are found."""

from pathlib import Path

import numpy as np
import pytest

from bittern.study.files import read_arrays, write_arrays


@pytest.mark.parametrize("bits", [0x01, 0xFF])
def test_damage_to_any_byte_gives_the_arrays_or_none(bits: int, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    write_arrays(path, {"cam|a": np.random.default_rng(0).random(100, np.float32), "stage": np.array("1")})
    content = path.read_bytes()
    for i in range(len(content)):
        path.write_bytes(content[:i] + bytes([content[i] ^ bits]) + content[i + 1 :])
        arrays = read_arrays(path)
        assert arrays is None or all(isinstance(array, np.ndarray) for array in arrays.values())
    path.write_bytes(content)
    assert list(read_arrays(path) or {}) == ["cam|a", "stage"]
