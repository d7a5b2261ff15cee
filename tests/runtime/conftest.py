from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def program() -> bytes:
    """A small program without its footer."""
    from runtime.programs import small_program

    return small_program()


@pytest.fixture(scope="session")
def model(program: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model file."""
    from runtime.programs import write

    return write(tmp_path_factory.mktemp("model") / "small.pte", program)
