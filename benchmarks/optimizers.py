"""The optimizers against each other on CIFAR-10: ``python -m benchmarks.optimizers --data DIR``.

Every run is one process on one thread; ``--jobs`` run side by side. An interrupted comparison goes on where its runs
stand. Each finished run appends its epochs to results/optimizers.csv, with machine and versions, and is not repeated.
``tune`` first, for whoever takes part newly: it tries every candidate for a few epochs on 45,000 of the training images
and prints its accuracy on the other 5,000; the best one is ``chosen`` in optimizer_rows.py.
"""

import argparse
import csv
import fcntl
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.optimizer_rows import CONTENDERS, NETWORKS, SCALES, TUNING_EPOCHS, Contender, recipe
from benchmarks.results import RESULTS, Row, read, write
from benchmarks.side_by_side import run_side_by_side
from bittern.cli._machine import cpu_name

RUNS = Path("build/optimizers")
CURVES = RESULTS / "optimizers.csv"
TUNING = RESULTS / "optimizers-tuning.csv"


@dataclass(frozen=True)
class EpochRow:
    """An epoch of a run. ``setting``: the candidate that was trained, as JSON.

    ``flip_rate``: mean share of the binary weights that flip in a step; -1 if none are binary.
    """

    network: str
    scale: str
    contender: str
    setting: str
    seed: int
    stage: str
    epoch: int
    epochs: int
    step: int
    loss: float
    accuracy: float
    test_accuracy: float
    flip_rate: float
    seconds: float
    device: str
    torch: str
    bittern: str


@dataclass(frozen=True)
class TuningRow:
    """Accuracy of a candidate on the held-out images after ``TUNING_EPOCHS``. ``setting`` is JSON."""

    network: str
    scale: str
    contender: str
    candidate: int
    setting: str
    epochs: int
    accuracy: float
    device: str


@dataclass(frozen=True)
class Job:
    """One run: of the comparison, or, with a candidate, of the tuning."""

    contender: str
    network: str
    scale: str
    seed: int
    data: str
    candidate: int | None = None
    accelerator: str = "cpu"

    @property
    def tuning(self) -> bool:
        return self.candidate is not None

    @property
    def folder(self) -> Path:
        what = f"tune{self.candidate}" if self.tuning else f"seed{self.seed}"
        return RUNS / self.scale / self.network / self.contender / what

    @property
    def command(self) -> list[str]:
        return ["benchmarks.optimizers", "one", "--job", json.dumps(asdict(self))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=("compare", "tune", "one", "report"), default="compare")
    parser.add_argument("--data", help="folder of CIFAR-10")
    parser.add_argument("--scale", choices=SCALES, default="slim")
    parser.add_argument("--network", choices=NETWORKS, action="append")
    parser.add_argument("--only", choices=CONTENDERS, action="append", help="contenders; all unless given")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each, with seeds from 0")
    parser.add_argument("--jobs", type=int, default=2, help="runs side by side")
    parser.add_argument("--accelerator", default="cpu")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.what == "one":
        _one(Job(**json.loads(options.job)))
        return
    if options.what != "report":
        if not options.data:
            parser.error("--data DIR is needed: the folder of CIFAR-10")
        names = options.only or list(CONTENDERS)
        networks = options.network or list(NETWORKS)
        jobs = _jobs(options.what == "tune", names, networks, options)
        run_side_by_side([(str(job.folder.relative_to(RUNS)), job.command) for job in jobs], options.jobs)
    from benchmarks import optimizer_report
    from benchmarks.tables import write_readme

    optimizer_report.draw_all(RESULTS)
    write_readme(RESULTS)


def _jobs(tuning: bool, names: Sequence[str], networks: Sequence[str], options: argparse.Namespace) -> list[Job]:
    """Those that are not in the results yet, a seed of everybody before the next."""
    common = {"scale": options.scale, "data": options.data, "accelerator": options.accelerator}
    if tuning:
        tried = {(r.contender, r.network, r.scale, r.candidate) for r in read(TUNING, TuningRow)}
        return [
            Job(name, network, seed=100, candidate=index, **common)
            for network in networks
            for index in range(max(len(CONTENDERS[name].candidates) for name in names))
            for name in names
            if index < len(CONTENDERS[name].candidates) and (name, network, options.scale, index) not in tried
        ]
    done = {(r.contender, r.setting, r.network, r.scale, r.seed) for r in read(CURVES, EpochRow)}
    return [
        Job(name, network, seed=seed, **common)
        for network in networks
        for seed in range(options.seeds)
        for name in names
        if (name, setting(CONTENDERS[name]), network, options.scale, seed) not in done
    ]


def _one(job: Job) -> None:
    import torch

    from bittern.train import run

    torch.set_num_threads(1)
    contender, scale = CONTENDERS[job.contender], SCALES[job.scale]
    trained = recipe(contender, scale, job.network, candidate=job.candidate, tuning=job.tuning)
    result = run(trained, job.data, job.folder, seed=job.seed, resume=True, accelerator=job.accelerator)
    device = torch.cuda.get_device_name() if job.accelerator == "cuda" else cpu_name()
    accuracy = result.info.metrics["test_accuracy"]
    if job.candidate is not None:
        tried = setting(contender, job.candidate)
        row = TuningRow(job.network, job.scale, job.contender, job.candidate, tried, TUNING_EPOCHS, accuracy, device)
        append(TUNING, TuningRow, [row])
    else:
        append(CURVES, EpochRow, _epochs(job, result.folder, trained.epochs, device, result.info.versions))
    print(f"{accuracy:.2%}")


def setting(contender: Contender, candidate: int | None = None) -> str:
    """The chosen setting, or ``candidate``, as JSON."""
    return json.dumps(dict(contender.candidates[contender.chosen if candidate is None else candidate]))


def _epochs(job: Job, folder: Path, total: int, device: str, versions: dict[str, str]) -> Iterable[EpochRow]:
    with (folder / "log.csv").open(newline="") as file:
        for epoch, line in enumerate(csv.DictReader(file), 1):
            yield EpochRow(
                job.network,
                job.scale,
                job.contender,
                setting(CONTENDERS[job.contender]),
                job.seed,
                line["stage"],
                epoch,
                total,
                int(line["step"]),
                float(line["loss"]),
                float(line["accuracy"]),
                float(line["test_accuracy"]),
                float(line["flip_rate"] or -1),
                float(line["seconds"]),
                device,
                versions["torch"],
                versions["bittern"],
            )


def append(path: Path, kind: type[Row], rows: Iterable[Row]) -> None:
    """Adds ``rows`` to the file; another process may be doing the same."""
    RUNS.mkdir(parents=True, exist_ok=True)
    with (RUNS / f"{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        write(path, [*read(path, kind), *rows])


if __name__ == "__main__":
    main()
