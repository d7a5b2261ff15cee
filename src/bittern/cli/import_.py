"""``bittern import``: turns published weights into a run folder."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bittern.cli._errors import say
from bittern.cli._output import Json, count_text, plain, print_facts, print_json, print_line

if TYPE_CHECKING:
    from bittern.train.runs import RunInfo


def command(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Keras or Larq (.h5), QONNX (.onnx) or a PyTorch checkpoint.")
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The run folder to create.")],
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="NAME", help="Expected model; by default, recognised from the tensors."),
    ] = None,
    step: Annotated[
        int | None,
        typer.Option(
            "--step",
            min=1,
            max=2,
            help="Step of two-step training, if the tensors do not show it: 1 (real weights) or 2 (binary).",
        ),
    ] = None,
    image_size: Annotated[
        int | None,
        typer.Option("--image-size", min=1, metavar="N", help="Height and width of the images. [default: the model's]"),
    ] = None,
    pixels: Annotated[
        tuple[float, float] | None,
        typer.Option(
            "--pixels", metavar="LOW HIGH", help="Of your own network: what pixels 0 and 255 become. [default: 0 1]"
        ),
    ] = None,
    without_head: Annotated[
        int | None,
        typer.Option(
            "--without-head", min=1, metavar="CLASSES", help="Replace the last layer by a new one for your own classes."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Import a published checkpoint, of Larq Zoo, ReActNet or AdamBNN, or your own network from Larq, Keras or QONNX.

    The source is recognised by the names and shapes of the tensors, all of which must be used. Your own network needs
    a file with its configuration, as `model.save("model.h5")` writes it, or an ONNX file.
    """
    from bittern.data import Preprocessing
    from bittern.importers import import_checkpoint, save_imported
    from bittern.importers.convert import check_free

    check_free(out)
    given = None
    if pixels is not None:
        low, high = pixels
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise typer.BadParameter(f"--pixels needs two numbers, the lower one first, got {low} and {high}")
        given = Preprocessing((high - low) / 255, (-low,), (1.0,))
    imported = import_checkpoint(file, model, step=step, image_size=image_size, pixels=given)
    if without_head is not None:
        from bittern.importers.new_head import with_new_head

        imported = with_new_head(imported, without_head)
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
    command = f"bittern export {folder} {info.model}.pte --explain"
    if without_head is not None:
        settings = " ".join(f"--set {setting}" for setting in _settings(info))
        command = f"bittern train new-head {plain(settings)} --from {folder} --data DIR --out RUN"
    print_line(f"in {folder}; next: {command}")


def _settings(info: "RunInfo") -> list[str]:
    """What a recipe must be told to build the same network."""
    from bittern.models import get_model

    row = get_model(info.model)
    settings = [f"model={info.model}"]
    if info.input_shape[1] != row.image_size:
        settings.append(f"image_size={info.input_shape[1]}")
    for key, default in row.options.items():
        value = info.options.get(key, default)
        several = isinstance(value, (list, tuple))
        if key != "precision" and (list(value) != list(default) if several else value != default):
            settings.append(f"model.{key}={','.join(map(str, value)) if several else value}")
    return settings
