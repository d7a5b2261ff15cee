"""What torch.distributed and the environment of torchrun say about the processes."""

import pytest

from bittern._distributed import is_first, launched, world_size


def test_without_torchrun_there_is_one_process_which_is_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WORLD_SIZE", "RANK"):
        monkeypatch.delenv(name, raising=False)
    assert (world_size(), is_first(), launched()) == (1, True, (0, 1))


def test_before_the_group_is_made_a_process_is_alone_and_torchrun_says_who_will_join(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.setenv("RANK", "2")
    assert (world_size(), is_first(), launched()) == (1, True, (2, 3))
