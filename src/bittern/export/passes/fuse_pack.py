"""Lets a packed layer write bits: `pack` of its result becomes one of its outputs.

If the float result is read elsewhere too (a residual path), the layer writes both; one pass over the data in any case.
"""

from torch import fx

from bittern.export.graph import Graph, Provenance
from bittern.export.passes.views import Pack, PackedLayer, matching


def fuse_pack(graph: Graph) -> None:
    for layer in matching(graph, PackedLayer.match_float):
        node = layer.node
        packs = [p for user in node.users if (p := Pack.match(user)) is not None and p.channel_dim == layer.channel_dim]
        if not packs:
            continue
        # Packs that differ in their threshold stay: a layer writes one packed tensor.
        threshold = packs[0].threshold
        same = [pack.node for pack in packs if pack.threshold is threshold]
        kwargs: dict[str, object] = dict(node.kwargs)
        if threshold is not None:
            kwargs["threshold"] = threshold
            node.prepend(threshold)  # the new node takes the place of the layer
        outputs = Provenance.of(same[0]).outputs[:1]
        if len(same) == len(node.users):
            bits = graph.call(node, layer.forms.packed, node.args, _joined(node, same[0], outputs), kwargs)
        else:
            outputs = (*Provenance.of(node).outputs[:1], *outputs)
            both = graph.call(node, layer.forms.float_packed, node.args, _joined(node, same[0], outputs), kwargs)
            value, bits = graph.outputs(both, node)
            node.replace_all_uses_with(value)
        for pack in same:
            graph.replace(pack, bits)
        graph.module.graph.erase_node(node)


def _joined(layer: fx.Node, pack: fx.Node, outputs: tuple[str | None, ...]) -> Provenance:
    own = Provenance.of(layer)
    return Provenance((*own.sources, *Provenance.of(pack).sources), own.path, outputs)
