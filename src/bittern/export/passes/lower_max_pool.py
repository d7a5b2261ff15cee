"""Max pooling in front of `pack` moves behind it, where it is a bitwise AND: signs and maxima commute.

binarize(max(x1, x2, ...)) = max(binarize(x1), binarize(x2), ...),  and so for `x < threshold`
"""

from bittern.export.graph import Graph, Provenance
from bittern.export.passes.binary import packed_max_pool
from bittern.export.passes.views import MaxPool2d, Pack, matching
from bittern.export.passes.views.packed import PACK


def why_not(pool: MaxPool2d) -> str | None:
    """None if ``pool`` can run on bits, else why not."""
    packs = {user: Pack.match(user) for user in pool.node.users}
    others = [user.name for user, pack in packs.items() if pack is None or pack.channel_dim != 1]
    return f"its result is also read as float, by {', '.join(others)}" if others else None


def lower_max_pool(graph: Graph) -> None:
    for pool in matching(graph, MaxPool2d.match):
        packs = [pack for user in pool.node.users if (pack := Pack.match(user)) is not None]
        if packs and (reason := why_not(pool)) is not None:
            graph.refuse(pool.node, reason)
            continue
        for pack in packs:
            if pack.threshold is not None:
                pool.node.prepend(pack.threshold)
            provenance = Provenance.of(pack.node).intermediate()  # before it is pooled
            bits = graph.call(pool.node, PACK, (pool.input, pack.threshold, pack.channel_dim), provenance)
            graph.replace(pack.node, packed_max_pool(graph, pool, bits, pack.node))
