"""``bittern verify``: does the file compute what the trained network computes?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bittern.cli._errors import FAILED
from bittern.cli._inputs import check_takes_images
from bittern.cli._layers import print_layers
from bittern.cli._output import Json, count_text, percent_text, plain, print_json, print_line

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from bittern.export import LayerCheck, Verification
    from bittern.train import Run


def command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of `bittern train` or `bittern import`.")],
    model: Annotated[Path, typer.Argument(metavar="MODEL.pte|FOLDER", help="What was exported from it.")],
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="DIR", help="Folder of the data set, or of any images. [default: the run's]"),
    ] = None,
    images: Annotated[int, typer.Option(min=1, metavar="N", help="Compare at most N test images.")] = 1000,
    random: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Compare N images of noise instead; needs no data set."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Seed of --random.")] = 0,
    checkpoint: Annotated[
        bool, typer.Option("--checkpoint", help="RUN is not finished: compare with its last checkpoint.")
    ] = False,
    json: Json = False,
) -> None:
    """Compare a model file with the network it was exported from, layer by layer.

    Exits with 1 if a bit differs from the references of the operators, or from the trained network by more than float
    rounding explains.
    """
    from bittern.export import verify
    from bittern.export.c import verify_folder
    from bittern.runtime import load
    from bittern.train import load_run

    if random is not None and data is not None:
        raise ValueError("--random N compares noise, --data DIR the images of a data set: give one of them")
    trained = load_run(run, unfinished=checkpoint)
    in_c = model.is_dir()
    if in_c:
        channels, height, width = trained.info.input_shape
    else:
        engine = load(model)
        check_takes_images(engine, "compare it from Python, bittern.export.verify(module, path, inputs), or call it")
        channels, height, width = engine.metadata.input_shape[1:]
    shape = (channels, height, width)  # of the file, which may be exported for images of another size than the run's
    inputs = _test_images(trained, data, images, shape) if random is None else _noise(shape, random, seed)
    result = verify_folder(trained.model, model, inputs) if in_c else verify(trained.model, model, inputs)
    if json:
        what = {"random": random, "seed": seed} if random is not None else {"dataset": trained.info.dataset}
        print_json({"run": str(run), "model": str(model), **what, **result.to_json()})
    else:
        print_verification(result)
    if not result.passed:
        raise typer.Exit(FAILED)


def _test_images(
    trained: "Run", data: Path | None, count: int, shape: tuple[int, int, int]
) -> "npt.NDArray[np.float32]":
    """At most ``count`` images of the run's data set or of any folder, preprocessed, for inputs of ``shape``."""
    from bittern.cli._datasets import Consumer, folder_of_run, sample
    from bittern.data import DataError

    info = trained.info
    folder = data or folder_of_run(trained.folder)
    try:
        found = sample(Consumer(info.model, shape, info.preprocessing, info.dataset), folder, "test", count)
    except DataError as error:
        if data is not None:
            raise
        raise ValueError(f"{error}; or compare noise with --random N") from error
    if found is None:
        raise ValueError(
            f"{trained.folder} names no data set that Bittern knows: name a folder of images by --data DIR, or compare "
            "noise with --random N"
        )
    return found[0].numpy()


def _noise(shape: tuple[int, int, int], count: int, seed: int) -> "npt.NDArray[np.float32]":
    """Inputs as the network sees them, without preprocessing: mean 0, standard deviation 1."""
    import numpy as np

    return np.random.default_rng(seed).standard_normal((count, *shape), np.float32)


def print_verification(result: "Verification") -> None:
    """Prints the table of layers and the verdict."""
    columns = [
        "Module",
        "Operator",
        "Output",
        ">Compared",
        ">Differ from\nreference",
        ">Differ from\nmodel",
        ">Largest float\ndifference",
        ">Margin",
        "Worst at",
    ]
    layers = result.layers
    print_layers(columns, ((_cells(layer), None if result.layer_passed(layer) else "bold red") for layer in layers))
    if layers:
        print_line(
            "[dim]Margin: distance from its threshold of the first bit of an image that differs, or a float's error "
            "before any bit differs, as a share of the layer's largest value.[/dim]"
        )
    verdict = "[green]passed[/green]" if result.passed else "[bold red]failed[/bold red]"
    what = f"{result.equal_predictions} of {result.images} predictions are equal"
    print_line(
        f"{verdict}: {what if result.predictions else f'{result.images} images'} (kernels: {result.isa}), "
        f"logits differ by at most {result.largest_logit_difference:.2g}, "
        f"{count_text(result.reference_differences)} values from the reference, "
        f"{count_text(result.model_differences)} bits from the trained network"
    )
    if result.steps and not result.int8:
        print_line(
            "The network rounds floats to steps, so rounding errors may move a value by a whole step: Bittern's "
            "operators are compared with their references alone"
        )
    if result.int8:
        share = percent_text(result.equal_predictions / result.images)
        agree = f"; predictions agree for {share}" if result.predictions else ""
        print_line(
            "int8: float layers are rounded to 8 bits, so the file differs from the trained network by more than "
            f"rounding errors: Bittern's operators are compared with their references alone{agree}"
        )


def _cells(layer: "LayerCheck") -> list[str]:
    other = f"{', '.join(layer.other_constants)}: not the network's" if layer.other_constants else None
    where = layer.reference_where or other or layer.model_where
    return [
        plain(layer.path),
        layer.operator,
        layer.output,
        count_text(layer.values),
        count_text(layer.reference_differences),
        "" if layer.model_differences is None else count_text(layer.model_differences),
        "" if layer.largest_difference is None else f"{layer.largest_difference:.1e}",
        f"{layer.margin:.1e}" if layer.margin else "",
        "" if where is None else str(where),
    ]
