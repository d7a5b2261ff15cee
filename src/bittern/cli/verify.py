"""``bittern verify``: does the file do what the trained network does, layer by layer?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bittern.cli._errors import FAILED
from bittern.cli._output import Json, count_text, output, print_json, print_line, table

if TYPE_CHECKING:
    from bittern.export import Verification


def command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder that `bittern train` wrote.")],
    model: Annotated[Path, typer.Argument(metavar="MODEL.pte", help="The file exported from it.")],
    data: Annotated[
        Path | None, typer.Option("--data", metavar="DIR", help="Folder of the run's data set, where it needs one.")
    ] = None,
    images: Annotated[int, typer.Option(min=1, metavar="N", help="How many test images to compare at most.")] = 1000,
    json: Json = False,
) -> None:
    """Compare a model file with the network it was exported from, layer by layer.

    No bit may differ from the reference of the deployed program, and none from the trained network that float rounding
    does not explain; otherwise the exit code is 1.
    """
    from bittern.data import load
    from bittern.export import verify
    from bittern.train import load_run

    trained = load_run(run)
    split = load(trained.info.dataset, data, ("test",))["test"]
    # Evenly spread, because some data sets are sorted.
    chosen = [i * len(split) // images for i in range(images)] if len(split) > images else list(range(len(split)))
    result = verify(trained.model, model, trained.info.preprocessing(split.images[chosen]).numpy())
    if json:
        print_json({"run": str(run), "model": str(model), **result.to_json()})
    else:
        print_verification(result)
    if not result.passed:
        raise typer.Exit(FAILED)


def print_verification(result: "Verification") -> None:
    """The table of layers, and what it comes to."""
    layers = table(["Module", "Operator", "Output", ">Compared", ">Differ from reference", ">Differ from model"])
    for layer in result.layers:
        wrong = layer.reference_differences > 0
        model = "" if layer.model_differences is None else count_text(layer.model_differences)
        layers.add_row(
            layer.path,
            layer.operator,
            layer.output,
            count_text(layer.values),
            count_text(layer.reference_differences),
            model,
            style="bold red" if wrong else None,
        )
    if result.layers:
        output().print(layers)
    verdict = "[green]passed[/green]" if result.passed else "[bold red]failed[/bold red]"
    print_line(
        f"{verdict}: {result.equal_predictions} of {result.images} predictions are equal (kernels: {result.isa}), "
        f"logits differ by {result.largest_logit_difference:.2g} at most, "
        f"{count_text(result.reference_differences)} values from the reference, "
        f"{count_text(result.model_differences)} bits from the trained network"
    )
