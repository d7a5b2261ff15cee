"""``bittern export``: turns a trained run, or a model of the registry, into a model file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bittern._lookup import find
from bittern.cli._errors import say
from bittern.cli._layers import print_layers
from bittern.cli._output import Json, bytes_text, plain, print_json, print_line

if TYPE_CHECKING:
    from bittern.export import Explanation
    from bittern.export.explain import Placement

_STYLES = {"bittern": "green", "fallback": "bold red", "view": "dim", "constant": "dim"}
"""Where a node runs -> the style of its row."""

_BATCH_NORM = "_native_batch_norm_legit_no_training"  # PyTorch's name of it in evaluation mode


def command(
    source: Annotated[
        str, typer.Argument(metavar="RUN|NAME", help="Folder of `bittern train` or `import`, or a model's name.")
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT.pte|OUT/", help="The model file, or with --target c the folder.")],
    target: Annotated[str, typer.Option("--target", metavar="pte|c", help="A model file, or C99 in a folder.")] = "pte",
    image_size: Annotated[
        int | None, typer.Option(min=1, metavar="S", help="Height and width of the images, if not the model's own.")
    ] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Images that the engine computes at a time. [default: 1]")
    ] = None,
    max_batch: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Compute any number of images up to N at a time.")
    ] = None,
    int8: Annotated[bool, typer.Option("--int8", help="Compute float layers on 8-bit integers.")] = False,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="DIR", help="With --int8: folder of the run's data set, or of image files."),
    ] = None,
    calibration: Annotated[
        int, typer.Option(min=1, metavar="N", help="With --int8: number of calibration images.")
    ] = 100,
    checkpoint: Annotated[
        bool, typer.Option("--checkpoint", help="Of a run that is not finished, export the last checkpoint.")
    ] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show where each node runs, and why it is not packed.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check/--no-check", help="Run the file once and compare it with the network first.")
    ] = True,
    flash: Annotated[
        int | None, typer.Option(min=1, metavar="BYTES", help="With --target c: the most bytes of weights.")
    ] = None,
    ram: Annotated[
        int | None, typer.Option(min=1, metavar="BYTES", help="With --target c: the most bytes of memory for a run.")
    ] = None,
    json: Json = False,
) -> None:
    """Export a trained run to a model file that the engine runs, or an untrained model by its name."""
    from bittern.cli._calibration import calibration_images
    from bittern.cli._datasets import folder_of_run
    from bittern.cli._deploy import SEED, check_target, export_network, find_network
    from bittern.cli._export_c import TARGETS, export_c

    if batch is not None and max_batch is not None:
        raise typer.BadParameter(
            "--batch fixes the number of images and --max-batch leaves it open: give one of the two"
        )
    if data is not None and not int8:
        raise typer.BadParameter("--data is for --int8, whose scales come from images: add --int8, or leave --data out")
    find("target", target, TARGETS)
    if target == "c":
        if max_batch is not None or int8 or explain:
            raise typer.BadParameter(
                "--max-batch, --int8 and --explain are for model files: leave out --target c or these"
            )
        network = find_network(source, image_size, unfinished=checkpoint)
        export_c(network, out, batch=batch or 1, flash=flash, ram=ram, check=check, json=json)
        return
    if flash is not None or ram is not None:
        raise typer.BadParameter("--flash and --ram limit a network in C: add --target c, or leave them out")
    check_target(out)
    network = find_network(source, image_size, unfinished=checkpoint)
    folder = data or (folder_of_run(Path(source)) if int8 else None)
    images, origin = calibration_images(network, folder, calibration) if int8 else (None, "")
    if not network.trained:
        say(f"{network.name} is not trained: random weights of seed {SEED}, for measurements")
    deployed = export_network(network, out, batch=batch or 1, max_batch=max_batch, int8=images, check=check)
    export, explanation = deployed.export, deployed.export.explanation
    for warning in deployed.warnings:
        say(f"warning: {warning}")
    if json:
        print_json(
            {
                "file": str(export.path),
                "size": export.size,
                "trained": network.trained,
                "calibration": None if images is None else {"images": len(images), "source": origin},
                "metadata": export.metadata.to_json(),
                "warnings": list(deployed.warnings),
                "explanation": explanation.to_json(),
            }
        )
        return
    if explain:
        _print_explanation(explanation)
    integers = sum(row.kernel == "int8" for row in explanation.rows)
    in_xnnpack = "in XNNPACK" + (f" ({integers} of them int8)" if images is not None else "")
    counts = ((explanation.count("bittern"), "in Bittern's operators"), (explanation.count("xnnpack"), in_xnnpack))
    text = ", ".join(f"{count} nodes {where}" for count, where in counts)
    slow = len(explanation.fallbacks)
    text += f", [bold red]{slow} in slow fallbacks[/bold red]" if slow else ", none in a slow fallback"
    print_line(f"[bold]{plain(export.path)}[/bold], {bytes_text(export.size)}: {text}")
    if images is not None:
        print_line(f"int8 scales from {len(images)} {plain(origin)}")


def _print_explanation(explanation: "Explanation") -> None:
    columns = ["Module", "Node", "Runs in", "Why not bit-packed; what was taken for granted"]
    print_layers(columns, ((_cells(row), _STYLES.get(row.runs)) for row in explanation.rows))


def _cells(row: "Placement") -> list[str]:
    runs = {"bittern": f"bittern::{row.kernel}", "fallback": f"fallback {row.kernel}"}.get(row.runs, row.runs)
    runs += " int8" if row.kernel == "int8" else ""
    return [row.path, _label(row), runs, row.reason or row.note]


def _label(row: "Placement") -> str:
    """The node's name in the graph, which reasons refer to, and its operator if the name does not say it."""
    operator = row.operator.rpartition("::")[2]
    name = row.node.replace(_BATCH_NORM, "batch_norm")
    return name if row.node.startswith(operator) else f"{name} ({operator})"
