"""``bittern train``: trains a recipe into a run folder."""

from pathlib import Path
from typing import Annotated

import typer

from bittern.cli._errors import INTERRUPTED, FailedError, say
from bittern.cli._output import Json, percent_text, plain, print_json, print_line


def command(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="What to train; `bittern recipes` lists them.")],
    out: Annotated[Path, typer.Option("--out", metavar="RUN", help="Folder for the result.")],
    data: Annotated[
        Path | None, typer.Option("--data", metavar="DIR", help="Folder of the data set, where it needs one.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs of every stage, instead of the recipe's.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of weights, order and augmentation.")] = 0,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a setting; `bittern recipes RECIPE` lists them."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in RUN from its checkpoint.")] = False,
    teacher: Annotated[
        Path | None,
        typer.Option("--teacher", metavar="RUN", help="Run whose network is the teacher, for recipes with one."),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option("--from", metavar="RUN", help="Run, finished or not, whose weights the first stage starts from."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Processes that decode images, for data sets that are streamed.")
    ] = None,
    checkpoint_seconds: Annotated[
        float,
        typer.Option("--checkpoint-every", min=0, metavar="SECONDS", help="Time between checkpoints within an epoch."),
    ] = 60.0,
    accelerator: Annotated[str, typer.Option(help="cpu, cuda, mps or auto.")] = "auto",
    study: Annotated[
        bool, typer.Option("--study", help="Record what happens inside; `bittern study RUN` reports it.")
    ] = False,
    json: Json = False,
) -> None:
    """Train a recipe into a run folder.

    Ctrl-C saves a checkpoint; --resume continues from it, to the same final weights. For several processes:
    torchrun --nproc-per-node=N --no-python bittern train ...
    """
    overrides = parse_settings(settings or [])
    from bittern.cli._output import messages
    from bittern.train import RichReporter, TrainingError, TrainingInterrupted, get_recipe, run

    get_recipe(recipe)
    observers = []
    if study:
        from bittern.study import TrainingObserver

        observers.append(TrainingObserver())
    try:
        result = run(
            recipe,
            data,
            out,
            epochs=epochs,
            seed=seed,
            overrides=overrides,
            resume=resume,
            progress=RichReporter(messages()),
            checkpoint_seconds=checkpoint_seconds,
            accelerator=accelerator,
            workers=workers,
            teacher=teacher,
            start=start,
            observers=observers,
        )
    except TrainingInterrupted as error:
        say(str(error))
        raise typer.Exit(INTERRUPTED) from error
    except TrainingError as error:
        raise FailedError(str(error)) from error
    if not result.first:  # one of several processes reports
        return
    info = result.info
    if json:
        print_json({"run": str(result.folder), **info.to_json()})
        return
    accuracy = info.metrics["test_accuracy"]
    print_line(f"{info.model} on {info.dataset}: [bold]{percent_text(accuracy)}[/bold] of the test images are right")
    folder = plain(result.folder)
    print_line(f"in {folder}; next: bittern export {folder} {info.model}.pte --explain")


def parse_settings(texts: list[str]) -> dict[str, str]:
    """``["lr=0.1"]`` -> ``{"lr": "0.1"}``; ValueError if one is not KEY=VALUE or a key comes twice."""
    settings: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise ValueError(f"--set takes KEY=VALUE, such as lr=0.001, got {text!r}")
        if key.strip() in settings:
            raise ValueError(f"--set gives {key.strip()!r} twice; give it once")
        settings[key.strip()] = value.strip()
    return settings
