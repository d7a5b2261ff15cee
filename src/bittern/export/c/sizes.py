"""What each layer of a network in C needs of flash and RAM, and limits on both."""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter

from bittern.export.c.program import ARENA, CNetwork, key, tensors
from bittern.export.deployed import Deployed
from bittern.export.errors import ExportError

_WORST = 3
"""Layers that a refusal names."""


@dataclass(frozen=True)
class LayerSize:
    """A node of the deployed graph in C.

    Args:
        weight_bytes: constants that no earlier node has. ``arena_bytes``: in use while it runs.
        macs: multiply-accumulates. ``kernel``: the functions that compute it.
    """

    node: str
    path: str
    kernel: str
    weight_bytes: int
    arena_bytes: int
    macs: int


def layer_sizes(deployed: Deployed, network: CNetwork) -> tuple[LayerSize, ...]:
    """A row for each node that has calls, in their order."""
    macs = {node.name: node.macs for node in deployed.nodes}
    in_use = _arena_in_use(network)
    seen: set[object] = set()
    rows: dict[str, LayerSize] = {}
    for call, used in zip(network.calls, in_use, strict=True):
        arrays = [*tensors(call.layer), *(b.data for b in call.operands if b is not None and b.data is not None)]
        new = {key(array): 4 * array.numel() for array in arrays if key(array) not in seen}
        seen |= new.keys()
        row = rows.get(call.node)
        kernels = dict.fromkeys([*(row.kernel.split(", ") if row else []), call.function])
        rows[call.node] = LayerSize(
            call.node,
            call.path,
            ", ".join(kernels),
            sum(new.values()) + (row.weight_bytes if row else 0),
            max(used, row.arena_bytes if row else 0),
            macs.get(call.node, 0),
        )
    return tuple(rows.values())


def _arena_in_use(network: CNetwork) -> list[int]:
    """For each call, the bytes of the arena that hold something which it or a later call reads or writes."""
    result = []
    for index in range(len(network.calls)):
        before = {b for call in network.calls[: index + 1] for b in call.operands if b is not None}
        before |= {port.buffer for port in network.inputs}
        after = {b for call in network.calls[index:] for b in call.operands if b is not None}
        alive = {b for b in before & after if b.kind == ARENA}
        places = sorted({(network.offsets[b], network.offsets[b] + b.bytes) for b in alive})
        used, end = 0, 0
        for begin, stop in places:
            used += max(0, stop - max(begin, end))
            end = max(end, stop)
        result.append(used)
    return result


def check_limits(network: CNetwork, layers: Sequence[LayerSize], flash: int | None, ram: int | None) -> None:
    """Raises ExportError if weights or arena have more bytes than allowed; the message names the largest layers."""
    limits = (
        ("flash", "of weights", flash, network.constant_bytes, "weight_bytes", "fewer channels"),
        ("RAM", "of arena", ram, network.arena_bytes, "arena_bytes", "smaller images or fewer channels"),
    )
    for memory, what, limit, size, field, cure in limits:
        if limit is None:
            continue
        if limit < 1:
            raise ExportError(f"the limit on {memory} must be a positive number of bytes, got {limit}")
        if size > limit:
            worst = sorted(layers, key=attrgetter(field), reverse=True)[:_WORST]
            named = ", ".join(f"{layer.path or layer.node} {getattr(layer, field):,}" for layer in worst)
            raise ExportError(
                f"the network needs {size:,} bytes {what}, the limit on {memory} is {limit:,}. "
                f"Most take {named}: give these {cure}"
            )
