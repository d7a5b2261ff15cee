"""Max pooling in front of `pack` moves behind it, where it is a bitwise AND: signs and maxima commute.

binarize(max(x1, x2, ...)) = max(binarize(x1), binarize(x2), ...),  and so for `x < threshold`
"""

from torch import fx

from bittern.export.graph import Graph, Provenance
from bittern.export.passes.binary import MAX_POOL, PACK, packed_max_pool


def why_not(pool: fx.Node, graph: Graph) -> str | None:
    """None if ``pool`` can run on bits, else why not."""
    others = [user.name for user in pool.users if user.target is not PACK or user.args[2] != 1]
    return f"its result is also read as float, by {', '.join(others)}" if others else None


def lower_max_pool(graph: Graph) -> None:
    for pool in graph.calls(MAX_POOL):
        if not any(user.target is PACK for user in pool.users):
            continue
        if (reason := why_not(pool, graph)) is not None:
            graph.refuse(pool, reason)
            continue
        for pack in list(pool.users):
            # No node of the training graph equals the bits of the tensor before it was pooled.
            inner = Provenance(Provenance.of(pack).sources, Provenance.of(pack).path, [None])
            if isinstance(threshold := pack.args[1], fx.Node):
                pool.prepend(threshold)
            bits = graph.call(pool, PACK, (pool.args[0], *pack.args[1:]), inner)
            graph.replace(pack, packed_max_pool(graph, pool, bits, pack))
