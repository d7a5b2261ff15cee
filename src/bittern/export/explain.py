"""Where each node of a network runs after export, and why it is not bit-packed where one might expect it to be."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from bittern.export.deployed import Deployed
from bittern.export.passes.binary import REAL_VALUED, WEIGHT_ONLY


@dataclass(frozen=True)
class Placement:
    """One node of the training graph.

    ``runs``: "bittern", "xnnpack", "fallback" (ExecuTorch's own kernels, slow), "view" (no work) or "constant"
    (computed at export). ``kernel``: the operator or delegate that does its work; "int8" for what XNNPACK computes on
    8-bit integers. ``reason``: why not bit-packed. ``note``: what the exporter took for granted of it.
    """

    node: str
    path: str
    operator: str
    runs: str
    kernel: str
    reason: str
    note: str = ""


@dataclass(frozen=True)
class Explanation:
    """All rows in the order of the training graph."""

    rows: tuple[Placement, ...]

    def count(self, runs: str) -> int:
        return sum(row.runs == runs for row in self.rows)

    @property
    def fallbacks(self) -> list[Placement]:
        return [row for row in self.rows if row.runs == "fallback"]

    @property
    def unpacked(self) -> list[Placement]:
        """Layers with a binary operand, and binarizations, that keep nothing of it packed."""
        harmless = ("", REAL_VALUED, WEIGHT_ONLY)
        return [row for row in self.rows if row.reason not in harmless and row.operator != "aten::max_pool2d"]

    def to_json(self) -> dict[str, Any]:
        return {
            "rows": [asdict(row) for row in self.rows],
            "packed": self.count("bittern"),
            "unpacked": len(self.unpacked),
            "fallbacks": len(self.fallbacks),
        }


def explain(deployed: Deployed, placements: Mapping[str, tuple[str, str]]) -> Explanation:
    """Where each node of the training graph went: ``placements`` are those of the back end, of the nodes that are left.

    Reasons concern layers and binarizations; nothing else could be bit-packed in the first place.
    """
    rows = []
    for node in deployed.captured.nodes:
        runs, kernel = placements.get(node.name, ("constant", ""))
        reason = deployed.refusals.get(node.name, "")
        if runs == "bittern" and kernel != "binarize" and not reason.startswith(WEIGHT_ONLY):
            reason = ""
        note = deployed.notes.get(node.name, "")
        rows.append(Placement(node.name, node.path, node.operator, runs, kernel, reason, note))
    return Explanation(tuple(rows))
