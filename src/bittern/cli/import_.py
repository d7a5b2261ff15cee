"""``bittern import``: weights that others published become a run folder."""

from pathlib import Path
from typing import Annotated

import typer

from bittern.cli._errors import say
from bittern.cli._output import Json, count_text, plain, print_facts, print_json, print_line


def command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Weights of Larq Zoo (.h5), or a PyTorch checkpoint.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The run folder to make.")],
    model: Annotated[
        str | None, typer.Option("--model", metavar="NAME", help="The model it must be of; else what its tensors say.")
    ] = None,
    step: Annotated[
        int | None,
        typer.Option(
            "--step",
            min=1,
            max=2,
            help="Of two-step training, where tensors do not tell: 1 for real weights, 2 for binary.",
        ),
    ] = None,
    image_size: Annotated[
        int | None,
        typer.Option("--image-size", min=1, metavar="N", help="Height and width of its images, if not the model's."),
    ] = None,
    json: Json = False,
) -> None:
    """Import a published checkpoint: Larq Zoo's, or those of ReActNet and AdamBNN.

    The source is recognised by the names and shapes of its tensors, of which each must have its place.
    """
    from bittern.importers import import_checkpoint, save_imported
    from bittern.importers.convert import check_free

    check_free(out)
    imported = import_checkpoint(file, model, step=step, image_size=image_size)
    save_imported(imported, out)
    for warning in imported.warnings:
        say(f"warning: {warning}")
    info = imported.info
    assert info.origin is not None
    parameters = sum(parameter.numel() for parameter in imported.network.parameters())
    if json:
        print_json(
            {
                "run": str(out),
                **info.to_json(),
                "tensors": imported.tensors,
                "parameters": parameters,
                "warnings": list(imported.warnings),
            }
        )
        return
    print_facts(
        [
            ("source", f"{info.origin.source}: {file}"),
            ("SHA-256", info.origin.sha256),
            ("model", info.model + "".join(f", {key} {value}" for key, value in info.options.items())),
            ("tensors", f"{imported.tensors} of {imported.tensors} used, {count_text(parameters)} parameters"),
        ]
    )
    folder = plain(out)
    print_line(f"in {folder}; next: bittern export {folder} {info.model}.pte --explain")
