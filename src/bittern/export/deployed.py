"""The deployed graph, described node by node: what each computes, reads, writes and costs, and why it is not on bits.

Explanations, summaries, predictions and back ends read this description; nothing else says what is binary.
"""

import operator
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, fx

import bittern.ops  # noqa: F401  registers the operators
from bittern.export.capture import Captured
from bittern.export.graph import Graph, Provenance, operator_name
from bittern.export.passes.signs import BINARIZE
from bittern.export.passes.views import Pad
from bittern.export.passes.views.aten import BATCH_NORM, NATIVE_BATCH_NORM
from bittern.export.products import product, tensor_shape
from bittern.export.signature import output_nodes
from bittern.runtime.metadata import Operator
from bittern.runtime.signature import Signature

_aten = torch.ops.aten
_ELEMENTWISE = (
    BATCH_NORM,
    NATIVE_BATCH_NORM,
    BINARIZE,
    _aten.prelu.default,
    _aten._prelu_kernel.default,
    _aten._to_copy.default,
    _aten.conv2d.default,
)
"""One number in, one number out, in the same place, though torch does not tag them so; a `conv2d` that is no product
of the training graph is a BatchNorm."""
PACK, POOL, OTHER, VIEW = "pack", "pool", "other", "view"


@dataclass(frozen=True)
class Value:
    """A tensor that is computed from the input; its views are the same value.

    ``dtype`` is int32 where it holds packed bits, 32 in an element. ``producer``: the node that writes it; None for
    the input.
    """

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    producer: str | None

    @property
    def numel(self) -> int:
        return torch.Size(self.shape).numel()

    @property
    def bytes(self) -> int:
        return self.numel * self.dtype.itemsize


@dataclass(frozen=True)
class Node:
    """An operator call of the deployed graph.

    Args:
        operator: ``namespace::name``.
        path: the module that gave the node its weights, or that called it.
        sources: names of the training graph's nodes that it stands for, in order.
        outputs: for each output, the training graph's node that it equals, or None.
        reads: names of values; ``writes``: likewise, none for a view.
        kind: "binary conv", "float linear" ... (`bittern.export.products`): of both operands, binary are the packed
            ones; or "pack" (bits of floats), "pool", "view" (no work) or "other".
        macs: multiply-accumulates of the whole batch; 0 where the training graph has no product here.
        constant_bytes: size of the constants that it reads.
        elementwise: output i depends on no other elements than number i of the inputs, or on constants.
        refusal: why it is not on packed bits, or not altogether; None where nothing could be.
    """

    name: str
    operator: str
    path: str
    sources: tuple[str, ...]
    outputs: tuple[str | None, ...]
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    kind: str
    macs: int
    constant_bytes: int
    elementwise: bool
    refusal: str | None

    @property
    def is_bittern(self) -> bool:
        return self.operator.startswith("bittern::")

    @property
    def is_binary(self) -> bool:
        """Whether it multiplies bits by bits."""
        return self.kind.startswith("binary ")


@dataclass(frozen=True)
class Deployed:
    """The program that the engine runs, as a graph and as its description.

    Args:
        captured: the training graph that it was made from.
        graph: functional ATen and `bittern` operators, whose references PyTorch can run.
        nodes: in the order of execution. ``values``: by name, the inputs first.
        outputs: the names of the values that are, or hold, the flat list of results.
        signature: of the graph's inputs and outputs.
        refusals: node of the training graph -> why it was not turned into a packed operator.
        notes: likewise, what was taken for granted of it; ``warnings``: what the user should look at in it.
        int8: the float layers of ``graph`` are quantized; ``nodes`` describes them as they were before.
    """

    captured: Captured
    graph: Graph
    nodes: tuple[Node, ...]
    values: Mapping[str, Value]
    outputs: tuple[str, ...]
    signature: Signature
    refusals: Mapping[str, str]
    notes: Mapping[str, str]
    warnings: Mapping[str, str]
    int8: bool = False

    @property
    def output_shape(self) -> tuple[int, ...]:
        """``[N, ...]`` of the first result."""
        return self.signature.outputs[0].shape

    @property
    def warned(self) -> list[str]:
        """The warnings as sentences: node, module, text; before them, what was done to the example."""
        paths = {node.name: node.path for node in self.captured.nodes}
        warnings = (f"{name} in {paths.get(name) or 'the model'}: {text}" for name, text in self.warnings.items())
        return [*self.captured.remarks, *warnings]

    @property
    def without_bits(self) -> str | None:
        """What to say of a network in which nothing is binary; None of others."""
        if any(operator.op != "binarize" for operator in self.operators):
            return None
        return "nothing in this model is binary. Signs are bittern.ops.binarize and what else docs/export.md lists"

    @property
    def operators(self) -> tuple[Operator, ...]:
        """The calls of Bittern's operators, as metadata lists them."""
        nodes = (node for node in self.graph.calls() if operator_name(node).startswith("bittern::"))
        return tuple(operator_entry(operator_name(node), Provenance.of(node)) for node in nodes)


def operator_entry(name: str, provenance: Provenance) -> Operator:
    """The metadata's entry for a call of the operator ``bittern::...``."""
    op = name.removeprefix("bittern::")
    schema = getattr(torch.ops.bittern, op).default._schema
    activations = (i for i, argument in enumerate(schema.arguments) if argument.name in ("x", "residual", "a", "b"))
    return Operator(op, provenance.path, provenance.outputs, tuple(activations), provenance.flipped)


def describe(captured: Captured, graph: Graph) -> Deployed:
    """The description of ``graph``, which the passes made of ``captured``."""
    return _Description(captured, graph).result()


class _Description:
    """Walks the graph in order; ``_names`` holds the values of each of its nodes, one for each output."""

    def __init__(self, captured: Captured, graph: Graph) -> None:
        self._captured, self._graph = captured, graph
        self._batch = captured.batch
        self._products = {node.name for node in captured.graph.calls() if product(node, self._batch)}
        self._names: dict[fx.Node, tuple[str, ...]] = {}
        self._nodes: list[Node] = []
        self._values: dict[str, Value] = {}

    def result(self) -> Deployed:
        for node in self._graph.module.graph.nodes:
            if node.op == "placeholder":
                self._names[node] = self._write(node, None)
            elif node.op == "call_function" and self._read(node):
                self._names[node] = self._call(node)
        return Deployed(
            captured=self._captured,
            graph=self._graph,
            nodes=tuple(self._nodes),
            values=self._values,
            outputs=tuple(name for node in output_nodes(self._graph) for name in self._names.get(node, ())[:1]),
            signature=self._captured.signature,
            refusals=dict(self._graph.reasons),
            notes=dict(self._graph.notes),
            warnings=dict(self._graph.warnings),
        )

    def _read(self, node: fx.Node) -> tuple[str, ...]:
        names = (name for source in node.all_input_nodes for name in self._names.get(source, ()))
        return tuple(dict.fromkeys(names))

    def _write(self, node: fx.Node, producer: str | None) -> tuple[str, ...]:
        """Adds the values of ``node`` and gives their names."""
        result = node.meta["val"]
        outputs = result if isinstance(result, (tuple, list)) else (result,)
        names = []
        for index, output in enumerate(outputs):
            if isinstance(output, Tensor):
                name = f"{node.name}:{index}" if len(outputs) > 1 else node.name
                self._values[name] = Value(name, tensor_shape(output, self._batch), output.dtype, producer)
                names.append(name)
        return tuple(names)

    def _call(self, node: fx.Node) -> tuple[str, ...]:
        """Adds ``node`` and gives the names of its values."""
        reads = self._read(node)
        if node.target is operator.getitem:
            index = node.args[1]
            assert isinstance(index, int)
            return (reads[index],) if len(reads) > 1 else reads
        if not hasattr(node.target, "_schema") or isinstance(node.meta["val"], (torch.SymInt, int)):
            return ()  # a size
        provenance = Provenance.of(node)
        work = product(node, self._batch)
        if work is not None and self._products.isdisjoint(provenance.sources):
            work = None  # a pass put it there: a normalization or a mean in the form of a product
        view = _is_view(node)
        writes = () if view else self._write(node, node.name)
        constants = (self._graph.constant(source) for source in node.all_input_nodes)
        self._nodes.append(
            Node(
                name=node.name,
                operator=operator_name(node),
                path=provenance.path,
                sources=provenance.sources,
                outputs=provenance.outputs,
                reads=reads,
                writes=writes,
                kind=VIEW if view else _other_kind(node) if work is None else f"{work.precision} {work.form}",
                macs=0 if work is None else work.macs,
                constant_bytes=sum(constant.nbytes for constant in constants if constant is not None),
                elementwise=work is None and _is_elementwise(node),
                refusal=next((self._graph.reasons[s] for s in provenance.sources if s in self._graph.reasons), None),
            )
        )
        return reads[:1] if view else writes


def _is_view(node: fx.Node) -> bool:
    """Whether ``node`` gives the numbers of its input in another shape, without work."""
    # XNNPACK makes padding a part of the layer that reads it.
    if node.target is _aten._unsafe_view.default or Pad.match(node) is not None:
        return True
    returns = node.target._schema.returns if hasattr(node.target, "_schema") else ()
    return any(value.alias_info is not None and not value.alias_info.is_write for value in returns)


def _is_elementwise(node: fx.Node) -> bool:
    return torch.Tag.pointwise in getattr(node.target, "tags", ()) or node.target in _ELEMENTWISE


def _other_kind(node: fx.Node) -> str:
    """Of a node that multiplies nothing, or nothing that the training graph multiplies."""
    name = operator_name(node)
    if name in ("bittern::pack", "bittern::negate"):
        return PACK
    return POOL if "pool" in name or name in ("aten::mean", "aten::adaptive_avg_pool2d") else OTHER
