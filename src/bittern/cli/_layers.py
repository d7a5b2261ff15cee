"""Tables of a network's layers, and the times of a program's nodes."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from bittern.cli._output import output, table

if TYPE_CHECKING:
    from bittern.runtime import Engine
    from bittern.runtime.arguments import Array

Cells = Sequence[str]
_PREFIX = "bittern::"
_DELEGATES = {"XnnpackBackend": "XNNPACK"}
"""ExecuTorch's name of a backend -> its usual name."""


def print_layers(columns: Cells, rows: Iterable[tuple[Cells, str | None]]) -> None:
    """One row a layer: its cells, with rich's markup, and a style. The first column names the module.

    ``columns``: ``>name`` aligns to the right. A table without rows is not printed.
    """
    layers = table(columns)
    for cells, style in rows:
        layers.add_row(*cells, style=style)
    if layers.row_count:
        output().print(layers)


@dataclass(frozen=True)
class LayerTime:
    """One node. ``path``: the module, such as ``blocks.0.conv``, of Bittern's operators; empty for the float parts.

    ``seconds``: median of the runs. ``kernel``: that a convolution or linear layer chose.
    """

    path: str
    operator: str
    seconds: float
    kernel: str | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def layer_times(engine: "Engine", inputs: "Sequence[Array]", *, runs: int) -> list[LayerTime]:
    """Every node of the program in the order of execution."""
    operators = iter(engine.metadata.operators)
    layers = []
    for node in engine.profile(*inputs, runs=runs):
        path = next(operators).path if node.name.startswith(_PREFIX) else ""
        operator = _DELEGATES.get(node.name, node.name.removeprefix(_PREFIX))
        layers.append(LayerTime(path, operator, node.median * 1e-6, node.kernel))
    return layers
