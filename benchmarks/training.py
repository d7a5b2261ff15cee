"""How much slower than its float twin a binary network trains: ``python -m benchmarks.training``.

One step is forward, backward and Adam's update on a batch of random images. Both networks, and both again under
``torch.compile`` with ``--compiled``, take turns in interleaved rounds on one thread of one process; a figure is the
median of the rounds. On a GPU (``--device cuda``) the clock waits for it. Writes results/training.csv and the table.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F

from benchmarks.markdown import table
from benchmarks.results import RESULTS, read, write
from bittern.cli._machine import cpu_name
from bittern.models import Precision, create
from bittern.optim import create_optimizer


@dataclass(frozen=True)
class Case:
    """A network, and the batch that it trains on."""

    model: str
    batch: int
    image_size: int


CASES = (
    Case("digits-resnet", 64, 8),
    Case("binarynet", 50, 32),
    Case("bi-real-net-cifar", 64, 32),
    Case("cifar-resnet", 64, 32),
    Case("bi-real-net-18", 8, 224),
    Case("reactnet-a", 8, 224),
    Case("quicknet", 8, 224),
)


@dataclass(frozen=True)
class TrainingRow:
    """Milliseconds of a step, medians; quartiles of the binary network's. 0 where nothing was compiled."""

    model: str
    batch: int
    image_size: int
    binary_ms: float
    low_ms: float
    high_ms: float
    float_ms: float
    compiled_binary_ms: float
    compiled_float_ms: float
    rounds: int
    device: str
    torch: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=[case.model for case in CASES], action="append")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--compiled", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    path = RESULTS / "training.csv"
    rows = {(row.model, row.device): row for row in read(path, TrainingRow)}
    for case in CASES:
        if not options.only or case.model in options.only:
            row = measure(case, options.rounds, options.device, options.compiled)
            rows[row.model, row.device] = row
            write(path, list(rows.values()))
    print(markdown(list(rows.values())))
    from benchmarks.tables import write_readme

    write_readme(RESULTS)


def measure(case: Case, rounds: int, device: str, compiled: bool) -> TrainingRow:
    variants: list[tuple[Precision, bool]] = [("binary", False), ("float", False)]
    variants += [("binary", True), ("float", True)] if compiled else []
    steps = {variant: training_step(case, *variant, device) for variant in variants}
    times: dict[tuple[str, bool], list[float]] = {variant: [] for variant in variants}
    for _ in range(rounds + 1):  # the first round warms up
        for variant, step in steps.items():
            times[variant].append(timed(step, device))
    ms = {variant: [1e3 * t for t in values[1:]] for variant, values in times.items()}
    medians = {variant: statistics.median(values) for variant, values in ms.items()}
    low, _, high = statistics.quantiles(ms["binary", False], n=4)
    return TrainingRow(
        case.model,
        case.batch,
        case.image_size,
        medians["binary", False],
        low,
        high,
        medians["float", False],
        medians.get(("binary", True), 0.0),
        medians.get(("float", True), 0.0),
        rounds,
        torch.cuda.get_device_name() if device == "cuda" else cpu_name(),
        torch.__version__,
    )


def training_step(case: Case, precision: Precision, compiled: bool, device: str) -> Callable[[], None]:
    torch.manual_seed(0)
    model = create(case.model, precision=precision).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    network = torch.compile(model) if compiled else model
    optimizer = create_optimizer("adam", model.parameters(), lr=1e-3)
    channels = 1 if case.model.startswith("digits") else 3
    images = torch.randn(case.batch, channels, case.image_size, case.image_size, device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, 10, (case.batch,), device=device)

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(network(images), labels).backward()
        optimizer.step()

    return step


def timed(step: Callable[[], None], device: str) -> float:
    """Seconds; on a CPU those that this process computed, whatever else the machine did."""
    if device == "cpu":
        began = time.process_time()
        step()
        return time.process_time() - began
    torch.cuda.synchronize()
    began = time.perf_counter()
    step()
    torch.cuda.synchronize()
    return time.perf_counter() - began


def section(folder: Path) -> str:
    """Of README.md."""
    rows = read(folder / "training.csv", TrainingRow)
    return f"### Training steps\n\nOne thread. torch {rows[0].torch}.\n\n{markdown(rows)}" if rows else ""


def markdown(rows: list[TrainingRow]) -> str:
    lines = [
        [
            f"`{row.model}`, {row.image_size}x{row.image_size}, batch {row.batch}",
            f"{1e3 * row.batch / row.binary_ms:.3g}",
            f"{1e3 * row.batch / row.float_ms:.3g}",
            f"{row.binary_ms / row.float_ms:.2f}",
            f"{row.binary_ms / row.compiled_binary_ms:.2f}" if row.compiled_binary_ms else "-",
            row.device,
        ]
        for row in rows
    ]
    header = ["network", "binary, images/s", "float twin, images/s", "time of a step, binary / float"]
    return table([*header, "gain by torch.compile", "device"], lines)


if __name__ == "__main__":
    main()
