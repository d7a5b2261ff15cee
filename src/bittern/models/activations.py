"""What a network keeps in memory between its operators, and how much of that at once.

The steps of a record are first joined as the exporter joins them, so that values which are never written do not count.
"""

from dataclasses import dataclass

from bittern.models.record import FLOAT_BITS, Record, Step


@dataclass(frozen=True)
class Operation:
    """A step of the network with the elementwise steps that follow in the same loop.

    Args:
        path: the module whose multiplication, pooling ... it is.
        kind: that of its ``Product`` with "binary " or "float " in front; or "pack", which makes bits of a value that
            is read as floats too, by a threshold per channel; or "pool" or "other".
        read_bytes: values and weights that it reads; ``written_bytes``: values that it writes.
        elementwise_bytes: what the joined steps would read and write if each ran by itself, as they do in the float
            parts: not behind a binary product or in a pack, and not normalization and ReLU behind a float product.
        live_bytes: all values that exist while it runs: those it reads and writes, and those that later ones read.
    """

    path: str
    kind: str
    macs: int
    read_bytes: float
    written_bytes: float
    elementwise_bytes: float
    live_bytes: float


@dataclass(frozen=True)
class Activations:
    """Operations in the order in which they run; for every value of the record, its bytes as kept in memory."""

    operations: tuple[Operation, ...]
    value_bytes: tuple[float, ...]

    @property
    def peak(self) -> Operation | None:
        """The operation during which most bytes are alive, the first one of several; None for no operation."""
        return max(self.operations, key=lambda operation: operation.live_bytes, default=None)


def activations(record: Record) -> Activations:
    """Joins the steps of ``record`` and follows the life of every value.

    One image; the operations run one after another, in the order of the model. An elementwise step joins the step that
    made its operand if nobody else reads that operand; of two such operands, the later one's step. An operand that was
    joined is never written: only the last value of such a chain is. So a convolution whose result is only normalized
    and binarized writes bits, and one whose result is also a shortcut writes floats, and its bits besides. A value
    takes 1 bit an element if it is of signs and 32 otherwise, and lives from the operation that writes it to the last
    one that reads it; the model's input lives from the start, its output to the end. Views and padding are no values of
    their own. Weights, and what an operator needs for itself while it runs, do not count.
    """
    roots, kept_as = _joined(record)
    value_bytes = tuple(_bytes(record, kept_as[number]) for number in range(len(record.values)))
    members: dict[int, list[int]] = {}
    for index, root in enumerate(roots):
        members.setdefault(root, []).append(index)
    # An operation can run when its last step has all it needs.
    order = sorted(members, key=lambda root: members[root][-1])
    reads, writes = [], []
    for root in order:
        steps = [record.steps[index] for index in members[root]]
        made = {number for step in steps for number in step.writes}
        reads.append({kept_as[number] for step in steps for number in step.reads} - made)
        writes.append({number for number in made if kept_as[number] == number and _is_needed(record, number)})
    live = _live_bytes(record, reads, writes, value_bytes)
    operations = []
    for place, root in enumerate(order):
        step = record.steps[root]
        weights = step.product.weight_bytes if step.product else 0.0
        read = sum(value_bytes[number] for number in reads[place]) + weights
        written = sum(value_bytes[number] for number in writes[place])
        macs = step.product.macs if step.product else 0
        steps = [record.steps[index] for index in members[root]]
        kind = _kind(steps)
        alone = _elementwise_bytes(record, kind, steps)
        operations.append(Operation(step.path, kind, macs, read, written, alone, live[place]))
    return Activations(tuple(operations), value_bytes)


def _joined(record: Record) -> tuple[list[int], list[int]]:
    """For every step, the first step of its operation; for every value, the value that it is kept as."""
    roots: list[int] = []
    kept_as = list(range(len(record.values)))
    for index, step in enumerate(record.steps):
        operands = [number for number in step.reads if _joins(record, index, number)] if step.elementwise else []
        if operands:
            operand = max(operands, key=lambda number: record.values[number].producer or 0)
            producer = record.values[operand].producer
            assert producer is not None
            roots.append(roots[producer])
            kept_as[operand] = step.writes[0]
        else:
            roots.append(index)
    for number in reversed(range(len(kept_as))):  # chains: a value is always kept as a later one
        kept_as[number] = kept_as[kept_as[number]]
    return roots, kept_as


def _joins(record: Record, index: int, number: int) -> bool:
    value, step = record.values[number], record.steps[index]
    return (
        value.producer is not None
        and value.readers == [index]
        and not value.is_output
        and bool(step.writes)
        and value.numel == record.values[step.writes[0]].numel
    )


def _is_needed(record: Record, number: int) -> bool:
    return bool(record.values[number].readers) or record.values[number].is_output


def _bytes(record: Record, number: int) -> float:
    return record.values[number].numel * record.values[number].bits / 8


def _live_bytes(
    record: Record, reads: list[set[int]], writes: list[set[int]], value_bytes: tuple[float, ...]
) -> list[float]:
    last = {number: place for place, numbers in enumerate(writes) for number in numbers}
    last |= {number: place for place, numbers in enumerate(reads) for number in numbers}
    last |= {number: len(reads) for number, value in enumerate(record.values) if value.is_output}
    alive = {number for number, value in enumerate(record.values) if value.producer is None and number in last}
    result = []
    for place, written in enumerate(writes):
        alive |= written
        result.append(sum(value_bytes[number] for number in alive))
        alive = {number for number in alive if last[number] > place}
    return result


def _kind(steps: list[Step]) -> str:
    """Of the operation whose first step is ``steps[0]``."""
    first, product = steps[0], steps[0].product
    if product is not None:
        # A product of two activations has no weights that the exporter could pack.
        binary = product.binary and product.weight_values > 0
        return f"{'binary' if binary else 'float'} {product.kind}"
    if steps[-1].name == "binarize" and all(step.name in _AFFINE for step in steps[:-1]):
        return "pack"
    return "pool" if "pool" in first.name or first.name == "mean" else "other"


def _elementwise_bytes(record: Record, kind: str, steps: list[Step]) -> float:
    if kind.startswith("binary ") or kind == "pack":
        return 0.0
    joined = steps[1:]
    while joined and steps[0].product is not None and joined[0].name in _FOLDED:
        joined = joined[1:]
    written = (record.values[step.writes[0]] for step in joined)
    return sum(value.numel * (FLOAT_BITS + value.bits) / 8 for value in written)


_AFFINE = {"native_batch_norm", "add", "sub", "rsub", "mul", "div"}
"""Steps that become part of a threshold."""
_FOLDED = {"native_batch_norm", "relu", "hardtanh", "clamp", "clamp_min"}
"""Steps that float products have room for."""
