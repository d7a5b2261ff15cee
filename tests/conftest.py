"""Fixtures of all tests."""

import os
from collections.abc import Iterator

import pytest
import torch

os.environ.pop("COLUMNS", None)  # pytest-xdist sets it for its workers, and commands would print as for a terminal


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny networks gain nothing from more, and lose much where other processes want the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
