"""Lets a packed layer write bits: `pack` of its result becomes one of its outputs.

If the float result is read elsewhere too (a residual path), the layer writes both; one pass over the data in any case.
"""

from typing import Any

import torch
from torch import fx

from bittern.export.graph import Graph, Provenance
from bittern.export.passes.absorb_epilogue import LAYERS
from bittern.export.passes.binary import PACK

_bittern = torch.ops.bittern
_FORMS: dict[Any, tuple[Any, Any]] = {
    _bittern.conv2d.default: (_bittern.conv2d_packed.default, _bittern.conv2d_float_packed.default),
    _bittern.linear.default: (_bittern.linear_packed.default, _bittern.linear_float_packed.default),
    _bittern.conv2d_weight_only.default: (
        _bittern.conv2d_weight_only_packed.default,
        _bittern.conv2d_weight_only_float_packed.default,
    ),
    _bittern.linear_weight_only.default: (
        _bittern.linear_weight_only_packed.default,
        _bittern.linear_weight_only_float_packed.default,
    ),
}


def fuse_pack(graph: Graph) -> None:
    for layer in graph.calls(*LAYERS):
        packs = [user for user in layer.users if user.target is PACK and user.args[2] == LAYERS[layer.target]]
        if not packs:
            continue
        # Packs that differ in their threshold stay: a layer writes one packed tensor.
        first = packs[0]
        same = [pack for pack in packs if pack.args[1] is first.args[1]]
        packed_form, both_form = _FORMS[layer.target]
        kwargs = {**layer.kwargs, **({} if first.args[1] is None else {"threshold": first.args[1]})}
        # The new node takes the place of the layer; the threshold moves there with it.
        if isinstance(threshold := kwargs.get("threshold"), fx.Node):
            layer.prepend(threshold)
        if len(same) == len(layer.users):
            origin = _joined(layer, first, Provenance.of(first).outputs)
            bits = graph.call(layer, packed_form, layer.args, origin, kwargs)
        else:
            origin = _joined(layer, first, (Provenance.of(layer).outputs[0], Provenance.of(first).outputs[0]))
            both = graph.call(layer, both_form, layer.args, origin, kwargs)
            values, bits = graph.outputs(both, layer)
            layer.replace_all_uses_with(values)
        for pack in same:
            graph.replace(pack, bits)
        graph.module.graph.erase_node(layer)


def _joined(layer: fx.Node, pack: fx.Node, outputs: tuple[str | None, ...]) -> Provenance:
    sources = (*Provenance.of(layer).sources, *Provenance.of(pack).sources)
    return Provenance(sources, Provenance.of(layer).path, outputs)
