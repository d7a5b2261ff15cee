from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cli.invoke import TINY, bittern


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Path:
    """The folder of a run; not to be written to."""
    out = tmp_path_factory.mktemp("cli") / "run"
    assert bittern("train", "digits", "--out", out, *TINY).code == 0
    return out


@pytest.fixture(scope="session")
def model(trained: Path) -> Path:
    """The run as a model file."""
    file = trained.parent / "model.pte"
    outcome = bittern("export", trained, file)
    assert outcome.code == 0, outcome.err
    return file


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A grey image of another size than the model's."""
    path = tmp_path / "digit.png"
    Image.fromarray(np.arange(20 * 30, dtype=np.uint8).reshape(20, 30)).save(path)
    return path
