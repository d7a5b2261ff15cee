"""``bittern demo``: every part of Bittern once, on handwritten digits."""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from bittern.cli._errors import FAILED, FailedError, say
from bittern.cli._output import Json, messages, output, plain, print_json, print_line

_PACKAGES = ("torch", "executorch", "sklearn", "matplotlib", "jinja2")


def command(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the results.")] = Path("bittern-demo"),
    seed: Annotated[int, typer.Option(min=0, help="Seed of the training.")] = 0,
    study: Annotated[bool, typer.Option("--study", help="Record both trainings and report on them.")] = False,
    json: Json = False,
) -> None:
    """Train, export, run, check and time a binary network, in two minutes.

    A small residual network learns to read handwritten digits, once binary and once in float. The engine runs both, and
    its results are compared with PyTorch bit by bit. DIR receives the networks and demo.html.
    """
    from bittern.cli.demo.folder import REPORT, STUDY_REPORT, claim

    _check_installation()
    claim(out)
    from bittern.cli.demo.page import render
    from bittern.cli.demo.pipeline import run_demo
    from bittern.cli.demo.steps import Steps
    from bittern.study.report import Report
    from bittern.train import TrainingError, TrainingInterrupted

    steps = Steps(messages())
    try:
        demo = run_demo(out, seed, steps, study=study)
    except TrainingInterrupted as error:
        raise KeyboardInterrupt from error
    except TrainingError as error:
        raise FailedError(str(error)) from error
    pages = {"report": out / REPORT}
    with steps.step("write the report") as step:
        pages["report"].write_text(render(demo), encoding="utf-8")
        step.note = str(pages["report"])
    if study:
        pages["study"] = out / STUDY_REPORT
        with steps.step("report on the trainings") as step:
            pages["study"].write_text(Report(demo.studies).html(), encoding="utf-8")
            step.note = str(pages["study"])
    if json:
        print_json({**demo.to_json(), **{name: str(page) for name, page in pages.items()}})
    else:
        output().print(demo.tables())
        print_line(f"Open {' and '.join(f'[bold]{plain(page)}[/bold]' for page in pages.values())} in a browser.")
    for problem in demo.problems:
        say(problem)
    if demo.problems:
        raise typer.Exit(FAILED)


def _check_installation() -> None:
    """Finds what is missing before a minute of training, not after it.

    Raises:
        ImportError: a package or the engine is not installed.
        ValueError: BITTERN_ISA names an instruction set that this machine cannot run.
    """
    for package in _PACKAGES:
        if find_spec(package) is None:
            raise ModuleNotFoundError(f"no module named {package}", name=package)
    from bittern.runtime import isa

    isa()
