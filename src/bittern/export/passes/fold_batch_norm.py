"""Folds BatchNorm behind a real-valued convolution or linear layer into its weights.

    W'(o) = W(o) * g(o),   b'(o) = b(o) * g(o) + h(o)        with g = gamma / sqrt(var + eps),  h = beta - mean * g

BatchNorm behind a binary layer keeps the weights' signs: `absorb_epilogue` takes it as multiplier and addend.
"""

from bittern.export.graph import Graph, Provenance, arguments, shape, sole_user
from bittern.export.passes.binary import why_not_binary_weight
from bittern.export.passes.views import BatchNorm, Layer, LinearLayer, match_layer, matching


def why_not(layer: Layer, graph: Graph) -> str | None:
    """None if BatchNorm behind ``layer`` folds into its weights, else why not."""
    if isinstance(layer, LinearLayer) and len(shape(layer.node)) != 2:
        return f"{layer.node.name} has its features last, and BatchNorm normalises dimension 1"
    if sole_user(layer.node) is None:
        return f"{layer.node.name} is read by {len(layer.node.users)} nodes, needs exactly 1"
    weight = graph.constant(layer.weight)
    if weight is None:
        return f"the weight of {layer.node.name} is computed from the input"
    if why_not_binary_weight(weight) is None:
        return f"{layer.node.name} has binary weights, which folding would destroy"
    return graph.why_not_constant(layer.node, "bias")


def fold_batch_norm(graph: Graph) -> None:
    for norm in matching(graph, BatchNorm.match):
        layer = match_layer(norm.input)
        if layer is None or why_not(layer, graph) is not None:
            continue
        weight, bias = graph.constant(layer.weight), graph.constant(layer.bias)
        assert weight is not None
        g, h = norm.affine(graph)
        folded = weight.double() * g.reshape(-1, *[1] * (weight.dim() - 1))
        offset = h if bias is None else bias.double() * g + h
        operands = {
            "weight": graph.add_constant(folded.float(), layer.node),
            "bias": graph.add_constant(offset.float(), layer.node),
        }
        args = {**arguments(layer.node), **operands}.values()
        provenance = Provenance.of(layer.node).absorb(norm.node)
        graph.replace(norm.node, graph.call(norm.node, layer.node.target, list(args), provenance))
