"""Networks and loops small enough to be followed by hand."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bittern.nn import BinaryLinear, RSign
from bittern.ops import binarize
from bittern.study import Watch, watch
from bittern.study.files import READINGS_FILE
from bittern.study.instruments.base import Instrument
from bittern.study.layers import LatentWeight
from bittern.study.look import Look
from bittern.study.read import StudyData


class Own(nn.Module):
    """A user's binary layer, without Bittern's classes."""

    latent_weights = ("kernel",)

    def __init__(self, features: int, outputs: int) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(outputs, features) * 0.1)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(binarize(x), binarize(self.kernel))


def network(seed: int = 0) -> nn.Module:
    """Rows [N, 6] -> [N, 3]: a layer of Bittern's, a learned threshold, a user's own layer."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(6, 8),
        nn.BatchNorm1d(8),
        BinaryLinear(8, 8),
        nn.BatchNorm1d(8),
        RSign(8),
        BinaryLinear(8, 8, binarize_input=False),
        nn.BatchNorm1d(8),
        Own(8, 3),
    )


def loop(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    steps: int,
    watched: Watch | None = None,
    seed: int = 1,
    after: Callable[[int], Any] | None = None,
) -> None:
    """Trains on random rows, the same for a seed."""
    generator = torch.Generator().manual_seed(seed)
    for step in range(steps):
        x, y = torch.randn(16, 6, generator=generator), torch.randint(0, 3, (16,), generator=generator)
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
        if watched is not None:
            watched.step()
        if after is not None:
            after(step)


def study_of(folder: Path, steps: int = 40, **options: Any) -> nn.Module:
    """A watched run of ``steps`` steps of Adam in ``folder``; the trained model."""
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    with watch(model, optimizer, folder, **{"sample_every": 5, "snapshot_every": 2, **options}) as watched:
        loop(model, optimizer, steps, watched)
    return model


def latent(values: Any, name: str = "layer", *, latent_free: bool = False) -> LatentWeight:
    return LatentWeight(name, nn.Parameter(torch.as_tensor(values, dtype=torch.float32)), True, latent_free)


def read(
    instrument: Instrument,
    look: Look,
    snapshot: bool = True,
) -> dict[str, Any]:
    """The instrument's values: measure -> a number or a list of them, of the only layer."""
    with torch.no_grad():
        return {
            measure: next(iter(layers.values())).tolist()
            for measure, layers in instrument.read(look, snapshot).items()
            if layers
        }


def observed(instrument: Instrument, x: Tensor, module: nn.Module | None = None, *, window_ends: bool = True) -> Look:
    """A look at one activation that entered a sign."""
    sums = {instrument.name: {"site": instrument.observe(module or nn.Identity(), x, True)}}
    return Look(1, [], sums=sums, window_ends=window_ends)


def readings(folder: Path, kind: str = "sample") -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (folder / READINGS_FILE).read_text().splitlines()]
    return [row for row in rows if row["kind"] == kind]


def study_data(
    tmp_path: Path, measure: str, values: list[list[float]], *, latent_free: bool = False, ff: Any = (), first: int = 5
) -> StudyData:
    """A study of two layers that read ``measure`` every 10 steps, an epoch being 20."""
    samples = [(10 * (i + 1), {measure: dict(zip(("a", "b"), row, strict=False))}) for i, row in enumerate(values)]
    epochs = [{"step": 20 * n, "stage": "s", "epoch": n} for n in range(1, 9)]
    layers = [{"name": "a", "weights": 30, "filters": 3}, {"name": "b", "weights": 10, "filters": 1}]
    steps = np.array([[i + 1, v, v] for i, v in enumerate(ff)], float).reshape(len(ff), 3)
    stage = {"step": first, "stage": "s", "latent_free": latent_free}
    return StudyData(tmp_path, "run", {"layers": layers}, steps, samples, epochs, [stage], [], {})
