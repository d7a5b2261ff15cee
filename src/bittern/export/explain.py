"""Where each node of a network runs after export, and why it is not bit-packed where one might expect it to be."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from bittern.export.passes.binary import REAL_VALUED, WEIGHT_ONLY


@dataclass(frozen=True)
class Row:
    """One node of the training graph.

    ``runs``: "bittern", "xnnpack", "fallback" (ExecuTorch's own kernels, slow), "view" (no work) or "constant"
    (computed at export). ``kernel``: the operator or delegate that does its work; "int8" for what XNNPACK computes on
    8-bit integers. ``reason``: why not bit-packed.
    """

    node: str
    path: str
    operator: str
    runs: str
    kernel: str
    reason: str


@dataclass(frozen=True)
class Explanation:
    """All rows in the order of the training graph."""

    rows: tuple[Row, ...]

    def count(self, runs: str) -> int:
        return sum(row.runs == runs for row in self.rows)

    @property
    def fallbacks(self) -> list[Row]:
        return [row for row in self.rows if row.runs == "fallback"]

    @property
    def unpacked(self) -> list[Row]:
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


def explain(
    nodes: Iterable[tuple[str, str, Any]], placements: dict[str, tuple[str, str]], reasons: dict[str, str]
) -> Explanation:
    """Joins the training graph's ``(name, module path, target)`` with where the nodes went.

    Reasons concern layers and binarizations; nothing else could be bit-packed in the first place.
    """
    rows = []
    for name, path, target in nodes:
        if not hasattr(target, "_schema"):  # getitem: part of the call that returned the tuple
            continue
        runs, kernel = placements.get(name, ("constant", ""))
        operator = str(target._schema.name)
        reason = reasons.get(name, "")
        if runs == "bittern" and kernel != "binarize" and reason != WEIGHT_ONLY:
            reason = ""
        rows.append(Row(name, path, operator, runs, kernel, reason))
    return Explanation(tuple(rows))
