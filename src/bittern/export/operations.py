"""What a deployed network does as a sequence of loops, and how much memory its activations take meanwhile.

XNNPACK runs elementwise steps in the loop of the layer in front of them, or nearly so; they are joined to it here.
Bittern's operators have such steps in their epilogue already and stay as they are.
"""

from dataclasses import dataclass

from bittern.export.deployed import VIEW, Deployed, Node

_FOLDED = {"aten::relu", "aten::relu6", "aten::hardtanh", "aten::clamp", "aten::clamp_min"}
"""Steps that float products have room for."""


@dataclass(frozen=True)
class Operation:
    """A node of the deployed graph with the elementwise nodes that follow in the same loop. Bytes are those of one run.

    Args:
        path: the module whose multiplication, pooling ... it is.
        kind: that of its first node (`bittern.export.deployed.Node`).
        read_bytes: values and constants that it reads; ``written_bytes``: values that it writes.
        elementwise_bytes: what the joined nodes would read and write if each ran by itself, without clamps behind a
            product.
        live_bytes: all values that exist while it runs: those it reads and writes, and those that later ones read.
    """

    path: str
    kind: str
    macs: int
    read_bytes: int
    written_bytes: int
    elementwise_bytes: int
    live_bytes: int


@dataclass(frozen=True)
class Operations:
    """Operations in the order in which they run; for every value, the name of the one that it is kept as."""

    steps: tuple[Operation, ...]
    kept_as: dict[str, str]

    @property
    def peak(self) -> Operation | None:
        """The operation during which most bytes are alive, the first one of several; None for no operation."""
        return max(self.steps, key=lambda operation: operation.live_bytes, default=None)


def operations(deployed: Deployed) -> Operations:
    """Joins the nodes of ``deployed`` and follows the life of every value.

    The operations run one after another. An elementwise node of XNNPACK joins the one that made its operand if nobody
    else reads that operand; of two such operands, the later one's. An operand that was joined is never written: only
    the last value of such a chain is. A value lives from the operation that writes it to the last one that reads it;
    the input lives from the start, the output to the end. Views are no values of their own. Constants do not count, nor
    does what an operator needs for itself while it runs, nor that ExecuTorch writes some outputs over their residuals.
    """
    return _Joining(deployed).result()


class _Joining:
    def __init__(self, deployed: Deployed) -> None:
        self._deployed = deployed
        self._nodes = [node for node in deployed.nodes if node.kind != VIEW]
        self._place = {node.name: place for place, node in enumerate(self._nodes)}
        self._readers: dict[str, list[int]] = {name: [] for name in deployed.values}
        for place, node in enumerate(self._nodes):
            for name in node.reads:
                self._readers[name].append(place)

    def result(self) -> Operations:
        roots, kept_as = self._join()
        members: dict[int, list[Node]] = {}
        for node, root in zip(self._nodes, roots, strict=True):
            members.setdefault(root, []).append(node)
        # An operation can run when its last node has all it needs.
        groups = sorted(members.values(), key=lambda nodes: self._place[nodes[-1].name])
        reads, writes = [], []
        for nodes in groups:
            made = {name for node in nodes for name in node.writes}
            reads.append({kept_as[name] for node in nodes for name in node.reads} - made)
            writes.append({name for name in made if kept_as[name] == name and self._is_needed(name)})
        live = self._live_bytes(reads, writes)
        steps = tuple(
            Operation(
                path=nodes[0].path,
                kind=nodes[0].kind,
                macs=nodes[0].macs,
                read_bytes=self._bytes(reads[place]) + sum(node.constant_bytes for node in nodes),
                written_bytes=self._bytes(writes[place]),
                elementwise_bytes=self._elementwise_bytes(nodes),
                live_bytes=live[place],
            )
            for place, nodes in enumerate(groups)
        )
        return Operations(steps, kept_as)

    def _join(self) -> tuple[list[int], dict[str, str]]:
        """For every node, the first node of its operation; for every value, the value that it is kept as."""
        roots: list[int] = []
        kept_as = {name: name for name in self._deployed.values}
        for place, node in enumerate(self._nodes):
            operands = [name for name in node.reads if self._joins(node, name)]
            if operands:
                operand = max(operands, key=self._producer)
                roots.append(roots[self._producer(operand)])
                kept_as[operand] = node.writes[0]
            else:
                roots.append(place)
        for name in reversed(kept_as):  # chains: a value is always kept as a later one
            kept_as[name] = kept_as[kept_as[name]]
        return roots, kept_as

    def _joins(self, node: Node, name: str) -> bool:
        values = self._deployed.values
        producer = values[name].producer
        return (
            node.elementwise
            and not node.is_bittern
            and producer is not None
            and not self._nodes[self._place[producer]].is_bittern
            and len(self._readers[name]) == 1
            and name not in self._deployed.outputs
            and values[name].numel == values[node.writes[0]].numel
        )

    def _producer(self, name: str) -> int:
        producer = self._deployed.values[name].producer
        return 0 if producer is None else self._place[producer]

    def _is_needed(self, name: str) -> bool:
        return bool(self._readers[name]) or name in self._deployed.outputs

    def _bytes(self, names: set[str]) -> int:
        return sum(self._deployed.values[name].bytes for name in names)

    def _live_bytes(self, reads: list[set[str]], writes: list[set[str]]) -> list[int]:
        last = {name: place for place, names in enumerate(writes) for name in names}
        last |= {name: place for place, names in enumerate(reads) for name in names}
        last |= dict.fromkeys(self._deployed.outputs, len(reads))
        alive = {name for name, value in self._deployed.values.items() if value.producer is None and name in last}
        result = []
        for place, written in enumerate(writes):
            alive |= written
            result.append(self._bytes(alive))
            alive = {name for name in alive if last[name] > place}
        return result

    def _elementwise_bytes(self, nodes: list[Node]) -> int:
        joined = nodes[1:]
        while joined and nodes[0].macs and joined[0].operator in _FOLDED:
            joined = joined[1:]
        return sum(2 * self._deployed.values[node.writes[0]].bytes for node in joined)
