"""Two processes see together what one sees with both halves of the batch."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed
import torch.distributed.device_mesh
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from bittern.nn import BinaryLinear
from bittern.study import instruments, ranks, watch
from bittern.study.files import READINGS_FILE, STEPS_FILE
from processes import in_two_processes

STEPS, ROWS = 12, 16


def network() -> nn.Module:
    """Without BatchNorm, whose statistics would differ between half batches."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), BinaryLinear(8, 8), BinaryLinear(8, 3))


def train(model: nn.Module, out: Path, part: slice) -> None:
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-2)
    generator = torch.Generator().manual_seed(1)
    with watch(model, optimizer, out, sample_every=4, snapshot_every=1) as watched:
        for step in range(STEPS):
            x = torch.randn(ROWS, 6, generator=generator)[part]
            optimizer.zero_grad()
            model(x).logsumexp(1).mean().backward()  # no gradients that cancel to 0 in one order of summing alone
            optimizer.step()
            watched.step()
            if step == 5:
                watched.epoch(1)


def process(rank: int, folder: Path) -> None:
    train(DistributedDataParallel(network()), folder / "two", slice(rank, None, 2))


def samples(folder: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (folder / READINGS_FILE).read_text().splitlines()]
    return [row for row in rows if row["kind"] == "sample"]


def test_sites_stay_in_the_order_in_which_they_ran(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "world_size", lambda: 2)
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda joined: joined.mul_(2))
    order = ["features.2", "classifier.0", "blocks.10", "blocks.2"]
    sums = {"saturation": {site: torch.tensor([i, 10 + i]) for i, site in enumerate(order)}, "channels": {}}
    added = ranks.sum_over_processes(sums)
    assert list(added["saturation"]) == order
    assert {site: part.tolist() for site, part in added["saturation"].items()} == {
        site: [2 * i, 20 + 2 * i] for i, site in enumerate(order)
    }


def test_a_probe_is_refused_in_several_processes_before_anything_is_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(instruments, "world_size", lambda: 2)
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-2)
    with pytest.raises(ValueError, match="one process, not 2"):
        watch(model, optimizer, tmp_path / "study", probe=lambda: model(torch.ones(1, 6)).sum())
    assert not (tmp_path / "study").exists()


@pytest.mark.slow
def test_two_processes_write_what_one_does(tmp_path: Path) -> None:
    in_two_processes(process, tmp_path)
    train(network(), tmp_path / "one", slice(None))
    assert (tmp_path / "two" / STEPS_FILE).read_text() == (tmp_path / "one" / STEPS_FILE).read_text()
    one, two = samples(tmp_path / "one"), samples(tmp_path / "two")
    assert [row["step"] for row in two] == [row["step"] for row in one]
    assert 7 in [row["step"] for row in two]  # behind the first epoch, in both processes
    for a, b in zip(one, two, strict=True):
        assert set(a["values"]) == set(b["values"])
        for measure, layers in a["values"].items():
            known = {layer: value for layer, value in layers.items() if value is not None}
            assert b["values"][measure].keys() == layers.keys()
            assert {layer: b["values"][measure][layer] for layer in known} == pytest.approx(known, rel=1e-3, abs=1e-6)
