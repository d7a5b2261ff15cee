from pathlib import Path

import pytest

from train.tiny import train


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Path:
    """The folder of a finished run; not to be written to."""
    out = tmp_path_factory.mktemp("runs") / "finished"
    train(out)
    return out
