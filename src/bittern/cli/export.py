"""``bittern export``: a trained run becomes a model file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bittern.cli._errors import say
from bittern.cli._output import Json, bytes_text, output, plain, print_json, print_line, table

if TYPE_CHECKING:
    from bittern.export.explain import Explanation, Row

_STYLES = {"bittern": "green", "fallback": "bold red", "view": "dim", "constant": "dim"}
"""Where a node runs -> how its row looks."""

_BATCH_NORM = "_native_batch_norm_legit_no_training"  # PyTorch's name of it in evaluation mode


def command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder that `bittern train` wrote.")],
    out: Annotated[Path, typer.Argument(metavar="OUT.pte", help="The model file to write.")],
    explain: Annotated[
        bool, typer.Option("--explain", help="Show where each node runs, and why it is not bit-packed.")
    ] = False,
    json: Json = False,
) -> None:
    """Export a trained run to a model file that the engine runs."""
    from bittern.cli._deploy import export_run
    from bittern.train import load_run

    if out.is_dir():
        raise ValueError(f"{out} is a folder; name the file to write, such as {out / 'model.pte'}")
    deployed = export_run(load_run(run), out)
    export, explanation = deployed.export, deployed.export.explanation
    for warning in deployed.warnings:
        say(f"warning: {warning}")
    if json:
        print_json(
            {
                "file": str(export.path),
                "size": export.size,
                "metadata": export.metadata.to_json(),
                "warnings": list(deployed.warnings),
                "explanation": explanation.to_json(),
            }
        )
        return
    if explain:
        _print_explanation(explanation)
    counts = ((explanation.count("bittern"), "in Bittern's operators"), (explanation.count("xnnpack"), "in XNNPACK"))
    text = ", ".join(f"{count} nodes {where}" for count, where in counts)
    slow = len(explanation.fallbacks)
    text += f", [bold red]{slow} in slow fallbacks[/bold red]" if slow else ", none in a slow fallback"
    print_line(f"[bold]{plain(export.path)}[/bold], {bytes_text(export.size)}: {text}")


def _print_explanation(explanation: "Explanation") -> None:
    nodes = table(["Module", "Node", "Runs in", "Why not bit-packed"])
    for row in explanation.rows:
        runs = {"bittern": f"bittern::{row.kernel}", "fallback": f"fallback {row.kernel}"}.get(row.runs, row.runs)
        nodes.add_row(row.path, _label(row), runs, row.reason, style=_STYLES.get(row.runs))
    output().print(nodes)


def _label(row: "Row") -> str:
    """The node's name in the graph, which reasons refer to, and its operator where the name does not tell."""
    operator = row.operator.rpartition("::")[2]
    name = row.node.replace(_BATCH_NORM, "batch_norm")
    return name if row.node.startswith(operator) else f"{name} ({operator})"
