"""The optimizers against each other on CIFAR-10: ``python -m benchmarks optimizers --data DIR``.

Every run is one process on one thread; ``--jobs`` run side by side. An interrupted comparison resumes its runs. Each
finished run appends its epochs to results/optimizers.csv and is not repeated. A new contender is tuned first
(``--tune``): every candidate is trained for a few epochs on 45,000 of the training images and rated by its accuracy on
the other 5,000; the best one becomes ``chosen`` in contenders.py.
"""

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.measure.contenders import CONTENDERS, SCALES, TUNING_EPOCHS, Contender, recipe
from benchmarks.measure.side_by_side import run_side_by_side
from benchmarks.measure.stamp import this_stamp
from benchmarks.rows import RESULTS, EpochRow, TuningRow, read, write
from bittern.cli._machine import cpu_name

RUNS = Path("build/optimizers")
CURVES = RESULTS / "optimizers.csv"
TUNING = RESULTS / "optimizers-tuning.csv"


@dataclass(frozen=True)
class OptimizerRun:
    """A run of the comparison, or, with a candidate, of the tuning. ``data``: folder of CIFAR-10."""

    contender: str
    network: str
    scale: str
    data: str
    accelerator: str
    seed: int = 100
    candidate: int | None = None

    @property
    def setting(self) -> str:
        """What is trained, as JSON."""
        contender = CONTENDERS[self.contender]
        return json.dumps(dict(contender.candidates[contender.chosen if self.candidate is None else self.candidate]))

    @property
    def folder(self) -> Path:
        name = f"seed{self.seed}" if self.candidate is None else f"tune{self.candidate}"
        return RUNS / self.scale / self.network / self.contender / name

    def __str__(self) -> str:
        return str(self.folder.relative_to(RUNS))


def compare(run: OptimizerRun, names: Sequence[str], networks: Sequence[str], seeds: int, processes: int) -> None:
    """Trains what is missing in results/optimizers.csv, one seed of every contender before the next.

    ``run``: the scale, data and accelerator of all runs.
    """
    done = {(r.contender, r.setting, r.network, r.scale, r.seed) for r in read(CURVES, EpochRow)}
    runs = [
        replace(run, contender=name, network=network, seed=seed)
        for network in networks
        for seed in range(seeds)
        for name in names
    ]
    missing = [r for r in runs if (r.contender, r.setting, r.network, r.scale, r.seed) not in done]
    for finished, rows in run_side_by_side(train_epochs, missing, processes):
        write(CURVES, [*read(CURVES, EpochRow), *rows])
        print(f"{finished}: {rows[-1].test_accuracy:.2%}", flush=True)


def tune(run: OptimizerRun, names: Sequence[str], networks: Sequence[str], processes: int) -> None:
    """Trains the candidates that are missing in results/optimizers-tuning.csv. ``run``: as in `compare`."""
    done = {(r.contender, r.network, r.scale, r.candidate) for r in read(TUNING, TuningRow)}
    runs = [
        replace(run, contender=name, network=network, candidate=candidate)
        for network in networks
        for name in names
        for candidate in range(len(CONTENDERS[name].candidates))
    ]
    missing = [r for r in runs if (r.contender, r.network, r.scale, r.candidate) not in done]
    for finished, row in run_side_by_side(train_candidate, missing, processes):
        write(TUNING, [*read(TUNING, TuningRow), row])
        print(f"{finished}: {row.accuracy:.2%}", flush=True)


def train_epochs(run: OptimizerRun) -> list[EpochRow]:
    """In a process of its own."""
    folder, versions, _ = _train(run)
    return list(_epochs(run, folder, versions))


def train_candidate(run: OptimizerRun) -> TuningRow:
    """In a process of its own."""
    assert run.candidate is not None
    _, _, accuracy = _train(run)
    named = (run.network, run.scale, run.contender, run.candidate, run.setting)
    return TuningRow(*named, TUNING_EPOCHS, accuracy, **this_stamp(_device(run)))


def _train(run: OptimizerRun) -> tuple[Path, dict[str, str], float]:
    """The run's folder, its versions, and its last test accuracy."""
    import torch

    from bittern.train import run as train

    torch.set_num_threads(1)
    contender: Contender = CONTENDERS[run.contender]
    trained = recipe(contender, SCALES[run.scale], run.network, candidate=run.candidate)
    result = train(trained, run.data, run.folder, seed=run.seed, resume=True, accelerator=run.accelerator)
    return result.folder, result.info.versions, result.info.metrics["test_accuracy"]


def _device(run: OptimizerRun) -> str:
    import torch

    return torch.cuda.get_device_name() if run.accelerator == "cuda" else cpu_name()


def _epochs(run: OptimizerRun, folder: Path, versions: dict[str, str]) -> Iterator[EpochRow]:
    stamp = this_stamp(_device(run))
    with (folder / "log.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    for epoch, line in enumerate(lines, 1):
        yield EpochRow(
            *(run.network, run.scale, run.contender, run.setting, run.seed, line["stage"]),
            *(epoch, len(lines), int(line["step"])),
            *(float(line["loss"]), float(line["accuracy"]), float(line["test_accuracy"])),
            *(float(line["flip_rate"] or -1), float(line["seconds"])),
            *(versions["torch"], versions["bittern"]),
            **stamp,
        )
