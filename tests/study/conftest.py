from pathlib import Path

import pytest

from bittern.study import TrainingObserver
from bittern.train import run

TINY = {"model.widths": "8,8", "model.depths": "1,1", "batch_size": 128}


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Path:
    """Two epochs of each stage of `digits` on a tiny network, watched; not to be written to but by its landscape."""
    out = tmp_path_factory.mktemp("study") / "digits"
    observer = TrainingObserver(sample_every=5, snapshot_every=2)
    run("digits", None, out, epochs=2, overrides=TINY, accelerator="cpu", observers=[observer])
    return out
