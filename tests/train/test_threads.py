"""Torch leaves CPUs to the processes that decode images, unless somebody chose its threads."""

import os

import pytest
import torch

from bittern.train.threads import beside_decoding


@pytest.mark.parametrize(("cpus", "threads"), [(1, 1), (2, 1), (4, 3), (16, 12)])
def test_a_quarter_of_the_cpus_is_left(cpus: int, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cpus)))
    before = torch.get_num_threads()
    torch.set_num_threads(cpus)
    try:
        with beside_decoding():
            assert torch.get_num_threads() == threads
        assert torch.get_num_threads() == cpus
    finally:
        torch.set_num_threads(before)


def test_threads_that_somebody_chose_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    before = torch.get_num_threads()
    try:
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        torch.set_num_threads(2)
        with beside_decoding():
            assert torch.get_num_threads() == 2
        monkeypatch.setenv("OMP_NUM_THREADS", "8")
        torch.set_num_threads(8)
        with beside_decoding():
            assert torch.get_num_threads() == 8
    finally:
        torch.set_num_threads(before)
