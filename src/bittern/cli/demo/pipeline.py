"""The demo from end to end: train, export, run, compare, time."""

import csv
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from bittern._files import write_atomically
from bittern.cli._deploy import ModelFile, export_run
from bittern.cli._machine import this_machine
from bittern.cli._output import bytes_text, count_text, percent_text, seconds_text
from bittern.cli.demo import units
from bittern.cli.demo.compare import Digits, compare, load_digits
from bittern.cli.demo.folder import BINARY, FLOAT, STUDY_REPORT
from bittern.cli.demo.measure import measure
from bittern.cli.demo.result import DemoResult, Network
from bittern.cli.demo.steps import StepReporter, Steps
from bittern.export import Explanation, ModelSummary, Verification, summary
from bittern.runtime import supported_isas
from bittern.study import TrainingObserver
from bittern.train import Run, load_run
from bittern.train import run as train


@dataclass(frozen=True)
class Demo:
    """The result, and what else the report shows: of the binary network the engine's logits [N, 10] of the test digits,
    where its nodes run, and what its layers cost."""

    result: DemoResult
    digits: Digits
    logits: npt.NDArray[np.float32]
    explanation: Explanation
    summary: ModelSummary


def run_demo(folder: Path, seed: int, steps: Steps, *, study: bool = False) -> Demo:
    """Does all of it in ``folder``, which holds no results; each network is trained once, watched if ``study``.

    PyTorch runs on one thread: networks this small gain little from more, and weights depend on the number of threads.
    """
    torch.set_num_threads(1)
    binary = _train(folder, BINARY, "train the binary network", seed, steps, study)
    twin = _train(folder, FLOAT, "train its float twin", seed, steps, study)
    with steps.step("export both") as step:
        deployed, twin_deployed = (export_run(run, folder / f"{run.folder.name}.pte") for run in (binary, twin))
        step.note = f"{bytes_text(deployed.export.size)} and {bytes_text(twin_deployed.export.size)}"
    digits = load_digits(binary)
    checks = []
    for isa in reversed(supported_isas()):
        with steps.step(f"run without torch, {isa}") as step:
            results, check = compare(binary, deployed.export.path, digits, isa)
            checks.append(check)
            step.note = (
                f"{check.equal_predictions} of {check.images} predictions as in PyTorch, "
                f"{count_text(check.reference_differences)} values differ"
            )
    with steps.step("run the float twin") as step:
        _, twin_check = compare(twin, twin_deployed.export.path, digits)
        step.note = f"{twin_check.equal_predictions} of {twin_check.images} predictions as in PyTorch"
    with steps.step("time both") as step, tempfile.TemporaryDirectory() as temporary:
        files = units.export_stretches(twin, Path(temporary))
        unique = list(dict.fromkeys(files.values()))
        measured = measure(deployed.export.path, twin_deployed.export.path, unique)
        of_file = dict(zip(unique, measured.layers[2:], strict=True))
        step.note = " and ".join(map(seconds_text, measured.latency))
    explanation = deployed.export.explanation
    parts = units.compare_units(
        binary, twin, explanation, measured.layers[0], {name: of_file[path] for name, path in files.items()}
    )
    networks = [
        _network(deployed, check, digits, latency, spread)
        for deployed, check, latency, spread in zip(
            (deployed, twin_deployed), (checks[-1], twin_check), measured.latency, measured.spread, strict=True
        )
    ]
    result = DemoResult(
        seed=seed,
        machine=this_machine(),
        isa=measured.isa,
        images=len(digits.labels),
        binary=networks[0],
        twin=networks[1],
        verifications=checks,
        accuracies=[digits.accuracy(check.predictions) for check in checks],
        units=parts,
        training={name: _log(folder / name) for name in (BINARY, FLOAT)},
        seconds=steps.seconds,
    )
    return Demo(result, digits, results.logits, explanation, summary(binary.model, binary.info.input_shape))


def write_study(folder: Path) -> None:
    """The page on what was seen while both networks trained."""
    from bittern.study.read import read_study
    from bittern.study.report import Report

    write_atomically(
        folder / STUDY_REPORT, Report([read_study(folder / name) for name in (BINARY, FLOAT)]).html().encode()
    )


def _train(folder: Path, recipe: str, title: str, seed: int, steps: Steps, study: bool) -> Run:
    with steps.step(title) as step:
        observers = [TrainingObserver()] if study else []
        result = train(recipe, None, folder / recipe, seed=seed, progress=StepReporter(step), observers=observers)
        step.note = f"{percent_text(result.info.metrics['test_accuracy'])} of the test digits right"
        return load_run(result.folder)


def _network(deployed: ModelFile, check: Verification, digits: Digits, latency: float, spread: float) -> Network:
    export = deployed.export
    return Network(
        recipe=export.path.stem,
        file=export.path.name,
        size=export.size,
        accuracy=digits.accuracy(check.predictions),
        pytorch_accuracy=digits.accuracy(check.model_predictions),
        equal_predictions=check.equal_predictions,
        largest_logit_difference=check.largest_logit_difference,
        latency=latency,
        spread=spread,
    )


def _log(folder: Path) -> list[dict[str, Any]]:
    """The rows of ``log.csv``; numbers as numbers, None where there was nothing to tell."""

    def value(text: str) -> Any:
        try:
            return float(text) if text else None
        except ValueError:
            return text

    with open(folder / "log.csv", newline="") as file:
        return [{key: value(text) for key, text in row.items()} for row in csv.DictReader(file)]
