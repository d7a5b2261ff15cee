"""``bittern train``: trains a recipe into a run folder."""

from pathlib import Path
from typing import Annotated, Any

import typer

from bittern._run_files import STUDY_FOLDER
from bittern.cli._errors import INTERRUPTED, FailedError, say
from bittern.cli._output import Json, percent_text, plain, print_json, print_line


def command(
    recipe: Annotated[
        str | None, typer.Argument(metavar="RECIPE", help="What to train; `bittern recipes` lists them.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="RUN", help="Folder for the result.")] = None,
    data: Annotated[
        Path | None, typer.Option("--data", metavar="DIR", help="Folder of the data set, where it needs one.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", metavar="NAME", help="Train this model; `bittern models` lists them.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs of every stage, instead of the recipe's.")] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed of weights, order and augmentation. [default: 0]")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a setting; `bittern recipes RECIPE` lists them."),
    ] = None,
    resume: Annotated[
        Path | None, typer.Option("--resume", metavar="RUN", help="Continue this run; needs no other argument.")
    ] = None,
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

    Ctrl-C saves a checkpoint; `--resume RUN` continues from it, to the same final weights. For several processes:
    torchrun --nproc-per-node=N --no-python bittern train ...
    """
    overrides = parse_settings(settings or [])
    if model is not None and overrides.setdefault("model", model) != model:
        raise ValueError(f"--model {model} and --set model={overrides['model']} differ; give one of them")
    given = {"--epochs": epochs, "--seed": seed, "--set": settings, "--model": model, "--from": start}
    surplus = [name for name, value in given.items() if value is not None]
    if recipe is None and resume is None:
        raise typer.BadParameter(
            "name a recipe to train (`bittern recipes` lists them), or a run to continue with --resume RUN"
        )
    if recipe is None and surplus:
        raise ValueError(f"{surplus[0]} comes from the run that is resumed: leave it out")
    target = _folder(out, resume)
    from bittern.cli._modules import import_modules, imported
    from bittern.cli._output import messages
    from bittern.train import RichReporter, TrainingError, TrainingInterrupted, get_recipe, run
    from bittern.train import resume as resume_run
    from bittern.train.launch import read_modules

    options: dict[str, Any] = {
        "progress": RichReporter(messages()),
        "checkpoint_seconds": checkpoint_seconds,
        "accelerator": accelerator,
        "workers": workers,
        "observers": _observers(study or (resume is not None and (resume / STUDY_FOLDER).is_dir())),
    }
    try:
        if recipe is None:
            import_modules(read_modules(target))
            result = resume_run(target, data=data, teacher=teacher, **options)
        else:
            get_recipe(recipe)
            result = run(
                recipe,
                data,
                target,
                epochs=epochs,
                seed=seed or 0,
                overrides=overrides,
                resume=resume is not None,
                teacher=teacher,
                start=start,
                modules=imported(),
                **options,
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


def _folder(out: Path | None, resume: Path | None) -> Path:
    folder = out or resume
    if folder is None:
        raise ValueError("name the folder for the result: --out RUN, or --resume RUN to continue one")
    if out is not None and resume is not None and out.resolve() != resume.resolve():
        raise ValueError(f"--resume {resume} continues the run in its own folder: leave --out {out} out")
    return folder


def _observers(study: bool) -> list[Any]:
    if not study:
        return []
    from bittern.study import TrainingObserver

    return [TrainingObserver()]


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
