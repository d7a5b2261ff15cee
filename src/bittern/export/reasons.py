"""What the training graph tells of each module: which operands are signs, and why a layer is not on packed bits."""

from collections.abc import Callable, Collection, Iterable, Iterator

import torch
from torch import fx

from bittern.export.capture import Captured
from bittern.export.deployed import Deployed
from bittern.export.graph import Graph, Provenance, operator_name
from bittern.export.passes.binary import REAL_VALUED
from bittern.export.passes.signs import BINARIZE, holds_signs
from bittern.export.passes.views import Pad
from bittern.export.products import Product, product

FIRST, LAST, ON_PURPOSE = "first layer", "last layer", "float on purpose"
_SIGNS = (BINARIZE, torch.ops.aten.sign.default, torch.ops.aten.sgn.default)
_TWO_ACTIVATIONS = "it multiplies two activations, for which there is no packed operator"


def reasons(deployed: Deployed) -> dict[str, str]:
    """Module path -> why not all of its products are on packed bits; no entry where they are.

    A layer is the first if no product lies between it and the model's input, the last if none lies between it and the
    output.
    """
    products, constants = _products(deployed.captured), _constants(deployed.captured.graph)
    nodes = list(deployed.captured.graph.module.graph.nodes)
    after = _beyond(products, nodes, lambda node: node.all_input_nodes)
    before = _beyond(products, reversed(nodes), lambda node: node.users)
    packed = _packed(deployed)
    found: dict[str, list[str]] = {}
    for node, each in products.items():
        if node.name not in packed:
            place = FIRST if node not in after else LAST if node not in before else ""
            reason = _reason(deployed, node, each, place) if each.weight in constants else _TWO_ACTIVATIONS
            found.setdefault(Provenance.of(node).path, []).append(reason)
    return {path: "; ".join(dict.fromkeys(every)) for path, every in found.items()}


def _reason(deployed: Deployed, node: fx.Node, each: Product, place: str) -> str:
    refusal = deployed.refusals.get(node.name)
    if refusal is None:
        return f"{place and place + ': '}{operator_name(node)} has no packed form: use a convolution or a linear layer"
    lost = "" if _is_signs(each.x) else _lost_signs(each.x)
    if refusal == REAL_VALUED:
        return f"{place or ON_PURPOSE}: real-valued weights and input{lost}"
    return f"{place and place + ': '}{refusal}{lost}"


def input_bits(deployed: Deployed) -> dict[str, int]:
    """Module path -> width of the activations that it multiplies: 1 for signs, else 32; the largest of several."""
    widths: dict[str, int] = {}
    packed = _packed(deployed)
    for node, each in _products(deployed.captured).items():
        path, width = Provenance.of(node).path, 1 if node.name in packed or _is_signs(each.x) else 32
        widths[path] = max(width, widths.get(path, 0))
    return widths


def _packed(deployed: Deployed) -> set[str]:
    """The training graph's nodes that became part of products of bits."""
    return {name for node in deployed.nodes if node.is_binary for name in node.sources}


def binary_parameters(deployed: Deployed) -> set[str]:
    """Names of the parameters whose every value is one of two before use, whichever operators saw to that."""
    graph = deployed.captured.graph
    constants = _constants(graph)
    on_bits = {name for node in deployed.nodes if node.is_bittern for name in node.sources}
    weights = (each.weight for node, each in _products(deployed.captured).items() if node.name in on_bits)
    found = {source for weight in weights for source in _value_by_value(graph, weight, constants)}
    found |= {node for node in constants if _is_binarized(graph, node, constants)}
    return {str(node.target) for node in found if node.op == "get_attr"}


def module_paths(node: fx.Node) -> Iterator[str]:
    """The modules that ``node`` is computed in, the whole model first."""
    for path, _ in node.meta.get("nn_module_stack", {}).values():
        yield str(path)


def _beyond(
    products: Collection[fx.Node], nodes: Iterable[fx.Node], neighbours: Callable[[fx.Node], Iterable[fx.Node]]
) -> set[fx.Node]:
    """The nodes that come after a product, in the direction in which ``nodes`` are given."""
    found: set[fx.Node] = set()
    for node in nodes:
        if any(each in products or each in found for each in neighbours(node)):
            found.add(node)
    return found


def _products(captured: Captured) -> dict[fx.Node, Product]:
    """Of values that are computed from the input."""
    batch, constants = captured.input_shape[0], _constants(captured.graph)
    found = ((node, product(node, batch)) for node in captured.graph.calls() if node not in constants)
    return {node: each for node, each in found if each is not None}


def _is_binarized(graph: Graph, values: fx.Node, constants: set[fx.Node]) -> bool:
    """Whether a constant goes through `binarize` or `sign` value by value, in arithmetic with other constants alone."""
    users = [user for user in values.users if user in constants and _numel(graph, user) == _numel(graph, values)]
    return any(user.target in _SIGNS or _is_binarized(graph, user, constants) for user in users)


def _value_by_value(graph: Graph, values: fx.Node, constants: set[fx.Node]) -> set[fx.Node]:
    """The constants from which ``values`` is computed, one number from one."""
    found, waiting = {values}, [values]
    while waiting:
        sources = waiting.pop().all_input_nodes
        fresh = {x for x in sources if x in constants and _numel(graph, x) == _numel(graph, values)} - found
        found |= fresh
        waiting += fresh
    return found


def _numel(graph: Graph, node: fx.Node) -> int | None:
    constant = graph.constant(node)
    value = node.meta.get("val") if constant is None else constant
    return value.numel() if isinstance(value, torch.Tensor) else None


def _constants(graph: Graph) -> set[fx.Node]:
    """The nodes that depend on no input."""
    found: set[fx.Node] = set()
    for node in graph.module.graph.nodes:
        if node.op == "get_attr" or (node.op == "call_function" and found.issuperset(node.all_input_nodes)):
            found.add(node)
    return found


def _is_signs(x: fx.Node) -> bool:
    """Whether ``x`` is signs, perhaps padded."""
    return _is_signs(x.all_input_nodes[0]) if Pad.match(x) else holds_signs(x)


def _lost_signs(x: fx.Node) -> str:
    """The operator that made real values of the signs that ``x`` comes from; empty if it comes from none."""
    waiting, seen = [x], {x}
    while waiting:
        node = waiting.pop(0)
        if product(node, 1) is not None:
            continue
        if any(map(holds_signs, node.all_input_nodes)):
            path = Provenance.of(node).path
            return f", no longer signs after {operator_name(node).partition('::')[2]}{path and f' in {path}'}"
        fresh = [source for source in node.all_input_nodes if source not in seen]
        waiting += fresh
        seen.update(fresh)
    return ""
