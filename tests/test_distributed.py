"""What the environment of torchrun says about the processes."""

import pytest

from bittern._distributed import is_first, world_size


def test_without_torchrun_there_is_one_process_which_is_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WORLD_SIZE", "RANK"):
        monkeypatch.delenv(name, raising=False)
    assert (world_size(), is_first()) == (1, True)


@pytest.mark.parametrize(("rank", "first"), [("0", True), ("2", False)])
def test_before_the_group_is_made_torchrun_says_who_is_first(
    rank: str, first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.setenv("RANK", rank)
    assert (world_size(), is_first()) == (3, first)
