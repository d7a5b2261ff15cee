"""How much slower than its float twin a binary network trains: ``python -m benchmarks training``.

One step is forward, backward and Adam's update on a batch of random images. Both networks, and both again under
``torch.compile`` with ``--compiled``, take turns in interleaved rounds on one thread of one process; a figure is the
median of the rounds. On a GPU (``--device cuda``) the clock waits for it.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from benchmarks.measure.stamp import this_stamp
from benchmarks.rows import TrainingRow
from bittern.cli._machine import cpu_name
from bittern.models import Precision, create
from bittern.optim import create_optimizer


@dataclass(frozen=True)
class TrainingCase:
    """A network, and the batch that it trains on."""

    model: str
    batch: int
    image_size: int


CASES = (
    TrainingCase("digits-resnet", 64, 8),
    TrainingCase("binarynet", 50, 32),
    TrainingCase("bi-real-net-cifar", 64, 32),
    TrainingCase("cifar-resnet", 64, 32),
    TrainingCase("bi-real-net-18", 8, 224),
    TrainingCase("reactnet-a", 8, 224),
    TrainingCase("quicknet", 8, 224),
)


def measure(case: TrainingCase, rounds: int, device: str, compiled: bool) -> TrainingRow:
    """The first round warms up and does not count."""
    variants: list[tuple[Precision, bool]] = [("binary", False), ("float", False)]
    variants += [("binary", True), ("float", True)] if compiled else []
    steps = {variant: training_step(case, *variant, device) for variant in variants}
    times: dict[tuple[str, bool], list[float]] = {variant: [] for variant in variants}
    for _ in range(rounds + 1):
        for variant, step in steps.items():
            times[variant].append(_seconds(step, device))
    ms = {variant: [1e3 * t for t in values[1:]] for variant, values in times.items()}
    medians = {variant: statistics.median(values) for variant, values in ms.items()}
    low, _, high = statistics.quantiles(ms["binary", False], n=4)
    return TrainingRow(
        *(case.model, case.batch, case.image_size, medians["binary", False], low, high, medians["float", False]),
        *(medians.get(("binary", True), 0.0), medians.get(("float", True), 0.0), rounds, torch.__version__),
        **this_stamp(torch.cuda.get_device_name() if device == "cuda" else cpu_name()),
    )


def training_step(case: TrainingCase, precision: Precision, compiled: bool, device: str) -> Callable[[], None]:
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


def _seconds(step: Callable[[], None], device: str) -> float:
    """Of one step; on a CPU those that this process computed, whatever else the machine did."""
    if device == "cpu":
        began = time.process_time()
        step()
        return time.process_time() - began
    torch.cuda.synchronize()
    began = time.perf_counter()
    step()
    torch.cuda.synchronize()
    return time.perf_counter() - began
