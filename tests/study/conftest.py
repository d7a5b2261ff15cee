import shutil
from pathlib import Path

import numpy as np
import pytest

from bittern.study import TrainingObserver
from bittern.study.files import write_arrays
from bittern.study.landscape import LANDSCAPE_FILE, Landscape
from bittern.train import run
from study.page import Page, page_of

TINY = {"model.widths": "8,8", "model.depths": "1,1", "batch_size": 128}


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Path:
    """Two epochs of each stage of `digits` on a tiny network, watched; not to be written to but by its landscape."""
    out = tmp_path_factory.mktemp("study") / "digits"
    observer = TrainingObserver(sample_every=5, snapshot_every=2)
    run("digits", None, out, epochs=2, overrides=TINY, accelerator="cpu", observers=[observer])
    return out


@pytest.fixture(scope="session")
def complete(trained_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A watched run with a landscape; not to be written to."""
    folder = tmp_path_factory.mktemp("complete") / "run"
    shutil.copytree(trained_run, folder)
    axis = np.linspace(-1, 1, 5)
    surface = Landscape(axis, axis, 1 + axis[:, None] ** 2 + axis[None] ** 2, np.ones((5, 5)))
    write_arrays(folder / "study" / LANDSCAPE_FILE, surface.arrays())
    return folder


@pytest.fixture(name="run")
def run_copy(complete: Path, tmp_path: Path) -> Path:
    """A copy of it, to be written to."""
    return Path(shutil.copytree(complete, tmp_path / "run"))


@pytest.fixture(scope="session")
def drawn(complete: Path) -> tuple[str, Page]:
    """The page on it, with the toy problems."""
    return page_of(complete, toys=True)
