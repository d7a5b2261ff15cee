"""``bittern export --target c``: a network as a folder of C99."""

from pathlib import Path
from typing import TYPE_CHECKING

from bittern.cli._deploy import SEED, Network, export_warnings
from bittern.cli._errors import say
from bittern.cli._layers import print_layers
from bittern.cli._output import bytes_text, count_text, plain, print_json, print_line

if TYPE_CHECKING:
    from bittern.export import CExport

TARGETS = {"pte": "a model file for the engine", "c": "C99 in a folder"}
"""What `bittern export` writes."""


def export_c(
    network: Network, folder: Path, *, batch: int, flash: int | None, ram: int | None, check: bool, json: bool
) -> None:
    """Writes ``network`` into ``folder`` and prints what it needs of flash and RAM.

    Raises:
        ExportError: the network cannot be exported.
        OSError: the folder cannot be written.
    """
    import torch

    from bittern.export import to_c
    from bittern.export.c.to_c import identifier

    if not network.trained:
        say(f"{network.name} is not trained: random weights of seed {SEED}, for measurements")
    with export_warnings() as messages:
        export = to_c(
            network.model,
            torch.zeros(batch, *network.input_shape),
            folder,
            name=identifier(network.name),
            class_names=network.class_names,
            preprocessing=network.preprocessing,
            flash=flash,
            ram=ram,
            check=check,
        )
    for message in messages:
        say(f"warning: {message}")
    if json:
        print_json({**export.to_json(), "trained": network.trained, "warnings": messages})
    else:
        _print(export)


def _print(export: "CExport") -> None:
    columns = ["Module", "Kernel", ">MACs", ">Flash,\nweights", ">RAM\nin use"]
    print_layers(
        columns,
        (
            (
                [
                    plain(layer.path),
                    layer.kernel.replace("bittern_", ""),
                    count_text(layer.macs) if layer.macs else "",
                    count_text(layer.weight_bytes),
                    count_text(layer.arena_bytes),
                ],
                None,
            )
            for layer in export.layers
        ),
    )
    how = "compiled here, every node equals its reference" if export.checked else "not tried here"
    print_line(
        f"[bold]{plain(export.path)}[/bold]: {plain(export.name)}_run, {bytes_text(export.weight_bytes)} of weights, "
        f"{bytes_text(export.arena_bytes)} of arena; {how}"
    )
