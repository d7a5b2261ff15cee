"""Time of an optimizer's step on the parameters of ReActNet-A: ``python -m benchmarks.optimizer_steps``.

All optimizers step in turn, round after round; the table has medians, and their ratios to ``Adam(foreach=True)``.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from benchmarks.markdown import table, where
from benchmarks.results import RESULTS, read, write
from bittern.cli._machine import cpu_name
from bittern.models import create
from bittern.optim import OPTIMIZERS, create_optimizer

NETWORK = "reactnet-a"
BASELINE = "Adam(foreach=True)"
WARM_UP = 2


@dataclass(frozen=True)
class StepRow:
    """Milliseconds of one optimizer's steps: median, and quartiles. ``state_bytes`` is all that it keeps."""

    optimizer: str
    parameters: int
    threads: int
    median_ms: float
    low_ms: float
    high_ms: float
    ratio: float
    state_bytes: int
    rounds: int
    machine: str
    revision: str


def contenders() -> dict[str, Callable[[list[nn.Parameter]], Optimizer]]:
    """Torch's Adam in its two faster forms, then every row of the registry as it comes, latent weights clipped."""

    options: dict[str, dict[str, Any]] = {name: {"clip": 1.0} for name in ("sgd", "adam", "amsgrad")}

    def registered(name: str) -> Callable[[list[nn.Parameter]], Optimizer]:
        return lambda params: create_optimizer(name, params, **options.get(name, {}))

    return {
        BASELINE: lambda params: Adam(params, foreach=True),
        "Adam(fused=True)": lambda params: Adam(params, fused=True),
        **{name: registered(name) for name in OPTIMIZERS},
    }


def measure(rounds: int, device: str, revision: str) -> list[StepRow]:
    """One row an optimizer; gradients are the same random numbers in every step."""
    torch.manual_seed(0)
    start = [p.detach().to(device) for p in create(NETWORK).parameters()]
    gradients = [1e-3 * torch.randn_like(p) for p in start]
    optimizers = {}
    for name, make in contenders().items():
        params = [nn.Parameter(p.clone()) for p in start]
        for p, gradient in zip(params, gradients, strict=True):
            p.grad = gradient
        optimizers[name] = make(params)
    times: dict[str, list[float]] = {name: [] for name in optimizers}
    for _ in range(WARM_UP + rounds):
        for name, optimizer in optimizers.items():
            times[name].append(_milliseconds(optimizer, device))
    taken = {name: sorted(values[WARM_UP:]) for name, values in times.items()}
    baseline = statistics.median(taken[BASELINE])
    machine = torch.cuda.get_device_name() if device.startswith("cuda") else cpu_name()
    return [
        StepRow(
            name,
            sum(p.numel() for p in start),
            torch.get_num_threads(),
            statistics.median(values),
            values[len(values) // 4],
            values[-1 - len(values) // 4],
            statistics.median(values) / baseline,
            _state_bytes(optimizers[name]),
            rounds,
            f"{machine}, torch {torch.__version__}",
            revision,
        )
        for name, values in taken.items()
    ]


def section(folder: Path) -> str:
    """Of README.md."""
    files = [read(path, StepRow) for path in sorted(folder.glob("optimizer_steps*.csv"))]
    return "\n".join(["### Steps of optimizers\n", *map(report, files)]) if files else ""


def report(rows: Sequence[StepRow]) -> str:
    header = ["optimizer", "ms", "quartiles", f"of {BASELINE}", "state, bytes a parameter"]
    cells = [
        [
            row.optimizer,
            f"{row.median_ms:.1f}",
            f"{row.low_ms:.1f} to {row.high_ms:.1f}",
            f"{row.ratio:.2f}",
            f"{row.state_bytes / row.parameters:.1f}",
        ]
        for row in rows
    ]
    title = f"{NETWORK}, {rows[0].parameters:,} parameters, {rows[0].threads} thread(s), {rows[0].rounds} rounds."
    return f"{title} {where(rows)}\n\n{table(header, cells)}"


def _milliseconds(optimizer: Optimizer, device: str) -> float:
    began = time.perf_counter()
    optimizer.step()
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return (time.perf_counter() - began) * 1e3


def _state_bytes(optimizer: Optimizer) -> int:
    return sum(v.nbytes for state in optimizer.state.values() for v in state.values() if isinstance(v, Tensor))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--no-csv", action="store_true", help="print the table only")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    from benchmarks.__main__ import revision  # which imports all other benchmarks

    rows = measure(options.rounds, options.device, revision())
    if not options.no_csv:
        name = "optimizer_steps" if options.device == "cpu" else f"optimizer_steps-{options.device}"
        write(RESULTS / f"{name}.csv", rows)
        from benchmarks.tables import write_readme

        write_readme(RESULTS)
    print(report(rows))


if __name__ == "__main__":
    main()
