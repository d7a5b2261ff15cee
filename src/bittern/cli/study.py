"""``bittern study``: reports what the instruments saw while runs trained, as one page."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bittern.cli._output import Json, messages, plain, print_json, print_line

if TYPE_CHECKING:
    from bittern.study.report import Report

_PAGE = "study.html"


def command(
    runs: Annotated[
        list[Path] | None, typer.Argument(metavar="RUN...", help="Run folders, trained with --study, to compare.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="The page. Default: study.html, in RUN if there is only one."),
    ] = None,
    landscape: Annotated[
        bool, typer.Option("--landscape", help="Compute each run's loss surface first; finished runs only.")
    ] = False,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="DIR", help="Folder of the data set, for --landscape. [default: the run's]"),
    ] = None,
    points: Annotated[int, typer.Option(min=3, help="Points of the loss surface in each direction.")] = 21,
    toys: Annotated[bool, typer.Option("--toys", help="Add two toy problems; without RUN, show only those.")] = False,
    json: Json = False,
) -> None:
    """Report what happened inside a network while it trained.

    FILE is one self-contained page: curves, maps, a comparison with published figures, and what to try.
    """
    runs = runs or []
    if not runs and not toys:
        raise ValueError("name at least one run folder, or ask for --toys")
    if len({path.resolve() for path in runs}) < len(runs):
        raise ValueError("a run folder is named twice; name each only once")
    from bittern._files import write_atomically
    from bittern.study.read import read_study
    from bittern.study.report import Report

    found = [read_study(path) for path in runs]
    if landscape:
        for path in runs:
            _compute_landscape(path, data, points)
    report = Report(found, toys=toys)
    if json and out is None:
        print_json(report.to_json())
        return
    page = out or (runs[0] / _PAGE if len(runs) == 1 else Path(_PAGE))
    if page.is_dir():
        raise ValueError(f"--out {page} is a folder; name a file, such as {page / _PAGE}")
    write_atomically(page, report.html().encode())
    if json:
        print_json({"report": str(page), **report.to_json()})
        return
    _print(report)
    print_line(f"Open [bold]{plain(page)}[/bold] in a browser.")


def _print(report: "Report") -> None:
    for run, diagnosis in zip(report.runs, report.diagnoses, strict=True):
        print_line(f"[bold]{plain(run.name)}[/bold]")
        for finding in diagnosis.findings:
            print_line(f"  {plain(finding.text)}")
        if not diagnosis.findings:
            print_line("  nothing stands out" if diagnosis.passed else "  no rule could be checked on these measures")
        if diagnosis.early:
            print_line(f"  [dim]too early to judge: {', '.join(diagnosis.early)}[/dim]")
        for line in run.missing:
            print_line(f"  [dim]missing: {plain(line)}[/dim]")


def _compute_landscape(run: Path, data: Path | None, points: int) -> None:
    from rich.progress import Progress

    from bittern.cli._datasets import folder_of_run
    from bittern.study.landscape import landscape_of_run

    with Progress(console=messages(), transient=True) as bar:
        task = bar.add_task(f"landscape of {run}", total=points * points)
        landscape_of_run(
            run,
            data or folder_of_run(run),
            points=points,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
