"""``bittern demo``: the whole path on handwritten digits."""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from bittern.cli._errors import FAILED, FailedError, say
from bittern.cli._output import Json, messages, output, plain, print_json, print_line

_NEEDED = ("torch", "executorch", "sklearn", "jinja2")


def command(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the results.")] = Path("bittern-demo"),
    seed: Annotated[int, typer.Option(min=0, help="Seed of the training.")] = 0,
    study: Annotated[bool, typer.Option("--study", help="Watch both trainings, and report what was seen.")] = False,
    json: Json = False,
) -> None:
    """Train, export, run, check and time a binary network, in two minutes.

    A small residual network learns to read handwritten digits, once binary and once in float. Both are exported and run
    by the engine, which is compared with PyTorch bit by bit. DIR receives the networks and demo.html.
    """
    from bittern.cli.demo.folder import REPORT, STUDY_REPORT, claim

    _check_installation()
    claim(out)
    from bittern.cli.demo.pipeline import run_demo, write_study
    from bittern.cli.demo.report import render as render_report
    from bittern.cli.demo.steps import Steps
    from bittern.cli.demo.summary import render
    from bittern.train import TrainingError, TrainingInterrupted

    steps = Steps(messages())
    with steps.shown():
        try:
            demo = run_demo(out, seed, steps, study=study)
        except TrainingInterrupted as error:
            raise KeyboardInterrupt from error
        except TrainingError as error:
            raise FailedError(str(error)) from error
        with steps.step("write the report") as step:
            (out / REPORT).write_text(render_report(demo), encoding="utf-8")
            step.note = str(out / REPORT)
        if study:
            with steps.step("report what was seen") as step:
                write_study(out)
                step.note = str(out / STUDY_REPORT)
    result = demo.result
    if json:
        pages = {"report": str(out / REPORT), **({"study": str(out / STUDY_REPORT)} if study else {})}
        print_json({**result.to_json(), **pages})
    else:
        output().print(render(result))
        also = f" and [bold]{plain(out / STUDY_REPORT)}[/bold]" if study else ""
        print_line(f"Open [bold]{plain(out / REPORT)}[/bold]{also} in a browser.")
    for problem in result.problems:
        say(problem)
    if result.problems:
        raise typer.Exit(FAILED)


def _check_installation() -> None:
    """Whatever is missing is better told before a minute of training than after it.

    Raises:
        ImportError: a package or the engine is not installed.
        ValueError: BITTERN_ISA names an instruction set that this machine cannot run.
    """
    for package in _NEEDED:
        if find_spec(package) is None:
            raise ModuleNotFoundError(f"no module named {package}", name=package)
    from bittern.runtime import isa

    isa()
