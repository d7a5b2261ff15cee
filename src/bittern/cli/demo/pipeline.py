"""The demo from end to end: train, export, run, compare, time."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from bittern.cli._deploy import export_run
from bittern.cli._errors import FailedError
from bittern.cli._layers import layer_times
from bittern.cli._machine import this_machine
from bittern.cli._output import bytes_text, count_text, percent_text, seconds_text
from bittern.cli.demo.folder import BINARY, FLOAT
from bittern.cli.demo.result import Demo, NetworkResult
from bittern.cli.demo.steps import Steps
from bittern.data import load
from bittern.export import Export, Verification, summary, verify
from bittern.runtime import Results, Timing, interleaved, isa, run_in_process, supported_isas
from bittern.runtime import load as load_engine
from bittern.study import TrainingObserver
from bittern.study.read import read_study
from bittern.train import Run, load_run
from bittern.train import run as train

_ROUNDS = 100


def run_demo(folder: Path, seed: int, steps: Steps, *, study: bool = False) -> Demo:
    """Does everything but the pages in ``folder``, which holds no results yet; records the trainings if ``study``.

    PyTorch runs on one thread: networks this small gain little from more, and weights depend on the number of threads.
    """
    torch.set_num_threads(1)
    binary = _train(folder, BINARY, "train the binary network", seed, steps, study)
    twin = _train(folder, FLOAT, "train its float twin", seed, steps, study)
    with steps.step("export both") as step:
        export, twin_export = (export_run(run, folder / f"{run.folder.name}.pte").export for run in (binary, twin))
        step.note = f"{bytes_text(export.size)} and {bytes_text(twin_export.size)}"
    digits = load("digits", None, ("test",))["test"]
    images, labels = binary.info.preprocessing(digits.images).numpy(), digits.labels.numpy()
    checks = []
    for name in reversed(supported_isas()):
        with steps.step(f"run without torch, {name}") as step:
            results, check = _compare(binary, export, images, name)
            checks.append(check)
            differences = count_text(check.reference_differences)
            step.note = f"{_agreement(check)}, {differences} values differ from the reference"
    with steps.step("run the float twin") as step:
        _, twin_check = _compare(twin, twin_export, images)
        step.note = _agreement(twin_check)
    with steps.step("time both") as step:
        engine, twin_engine = load_engine(export.path), load_engine(twin_export.path)
        image = np.random.default_rng(0).standard_normal(engine.metadata.input_shape, np.float32)
        timings = interleaved({"binary": lambda: engine(image), "twin": lambda: twin_engine(image)}, rounds=_ROUNDS)
        layers = layer_times(engine, (image,), runs=_ROUNDS)
        step.note = " and ".join(seconds_text(timing.median) for timing in timings.values())
    return Demo(
        seed=seed,
        machine=this_machine(),
        isa=isa(),
        pixels=digits.images[:, 0].numpy(),
        labels=labels,
        binary=_network(export, checks[-1], labels, timings["binary"]),
        twin=_network(twin_export, twin_check, labels, timings["twin"]),
        logits=results.logits,
        checks=checks,
        layers=layers,
        summary=summary(binary.model, binary.info.input_shape),
        explanation=export.explanation,
        studies=[read_study(run.folder) for run in (binary, twin)],
        seconds=steps.seconds,
    )


def _train(folder: Path, recipe: str, title: str, seed: int, steps: Steps, study: bool) -> Run:
    with steps.step(title) as step:
        observers = [TrainingObserver()] if study else []
        result = train(recipe, None, folder / recipe, seed=seed, progress=step, observers=observers)
        step.note = f"{percent_text(result.info.metrics['test_accuracy'])} of the test digits correct"
        return load_run(result.folder)


def _compare(
    run: Run, export: Export, images: npt.NDArray[np.float32], isa: str | None = None
) -> tuple[Results, Verification]:
    """What the engine computes for ``images`` in a process of its own, compared with PyTorch."""
    try:
        results = run_in_process(export.path, images, isa=isa, trace=True)
    except RuntimeError as error:
        raise FailedError(f"the engine's process failed: {error}") from error
    return results, verify(run.model, export.path, images, results)


def _network(export: Export, check: Verification, labels: npt.NDArray[np.int64], timing: Timing) -> NetworkResult:
    return NetworkResult(
        recipe=export.path.stem,
        file=export.path.name,
        size=export.size,
        accuracy=float((np.array(check.predictions) == labels).mean()),
        pytorch_accuracy=float((np.array(check.model_predictions) == labels).mean()),
        equal_predictions=check.equal_predictions,
        largest_logit_difference=check.largest_logit_difference,
        latency=timing.median,
        spread=timing.spread,
    )


def _agreement(check: Verification) -> str:
    return f"{check.equal_predictions} of {check.images} predictions as in PyTorch"
