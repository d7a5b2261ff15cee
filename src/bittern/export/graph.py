"""The graph that the passes rewrite: a captured training graph, its constants, and where each node came from."""

import copy
import functools
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx
from torch._dispatch.python import enable_python_dispatcher
from torch.fx.node import Target

from bittern.export.quiet import third_party_quiet

_PROVENANCE = "bittern"
_VIEWS = (torch.ops.aten.view.default, torch.ops.aten._unsafe_view.default)


class Provenance:
    """Where a node of the deployed graph came from: kept in ``meta["custom"]``, which torch and ExecuTorch carry along.

    ``sources``: names of the training graph's nodes that this node stands for, in order.
    ``path``: the module that gave the node its weights, or that called it, such as ``layer1.0.conv``.
    ``outputs``: for each output, the training graph's node that it equals, or None.
    ``flipped``: which filters of a packed layer have the opposite signs (`bittern.runtime.metadata.Operator`).
    """

    def __init__(self, sources: Sequence[str], path: str, outputs: Sequence[str | None], flipped: str = "") -> None:
        self.sources, self.path, self.outputs, self.flipped = tuple(sources), path, tuple(outputs), flipped

    @staticmethod
    def of(node: fx.Node) -> "Provenance":
        entry = node.meta.get("custom", {}).get(_PROVENANCE, {"sources": (), "path": "", "outputs": (None,)})
        return Provenance(**entry)

    def attach(self, node: fx.Node) -> None:
        entry = {"sources": self.sources, "path": self.path, "outputs": self.outputs, "flipped": self.flipped}
        node.meta["custom"] = {**node.meta.get("custom", {}), _PROVENANCE: entry}

    def absorb(self, node: fx.Node) -> "Provenance":
        """This provenance after its node took over the work of ``node``, which reads it, and gives its result."""
        other = Provenance.of(node)
        return Provenance((*self.sources, *other.sources), self.path, other.outputs[:1])

    def behind(self, *sources: str) -> "Provenance":
        """This provenance after its node took over the work of the training graph's ``sources``, which it read."""
        return Provenance((*sources, *self.sources), self.path, self.outputs)

    def intermediate(self) -> "Provenance":
        """Of a node that does part of this work: its result equals that of no node of the training graph."""
        return Provenance(self.sources, self.path, [None])

    def auxiliary(self) -> "Provenance":
        """Of a node added beside this one that stands for no node of the training graph."""
        return Provenance((), self.path, [None])


class Graph:
    """A graph of functional ATen and `bittern` operators whose parameters are constants (``get_attr`` nodes).

    Every call node carries ``meta["val"]`` (a fake tensor) and a :class:`Provenance`. ``reasons`` maps the name of a
    node of the training graph to why it was not turned into a packed operator, ``notes`` to what the exporter took for
    granted of it, ``warnings`` to what its user should look at. ``near_signs``: nodes that take two values, or nearly,
    and why they are no signs.
    """

    def __init__(self, module: fx.GraphModule) -> None:
        self.module = module
        self.reasons: dict[str, str] = {}
        self.notes: dict[str, str] = {}
        self.warnings: dict[str, str] = {}
        self.near_signs: dict[str, str] = {}
        self._constants = 0
        for node in self.calls():
            Provenance([node.name], _module_path(node), [node.name]).attach(node)

    def copy(self) -> "Graph":
        """An independent graph with the same nodes, constants, provenance and remarks."""
        result = copy.copy(self)
        with third_party_quiet():
            result.module = copy.deepcopy(self.module)
        for remarks in ("reasons", "notes", "warnings", "near_signs"):
            setattr(result, remarks, dict(getattr(self, remarks)))
        return result

    @property
    def _fake_mode(self) -> Any:
        return next(input_nodes(self)).meta["val"].fake_mode

    def calls(self, *targets: Target) -> list[fx.Node]:
        """Call nodes in order, all or those of the given operators. A copy: rewriting while iterating is safe."""
        nodes = [node for node in self.module.graph.nodes if node.op == "call_function"]
        return [node for node in nodes if not targets or node.target in targets]

    def constant(self, node: object) -> Tensor | None:
        """The value of a parameter, buffer or folded constant; None for anything else."""
        if not isinstance(node, fx.Node) or node.op != "get_attr":
            return None
        value: object = self.module
        for name in str(node.target).split("."):
            value = getattr(value, name)
        return value.detach() if isinstance(value, Tensor) else None

    def why_not_constant(self, node: fx.Node, *names: str) -> str | None:
        """None if each argument of ``node`` called one of ``names`` is a constant or left out, else which is not."""
        named = arguments(node)
        computed = [name for name in names if isinstance(named[name], fx.Node) and self.constant(named[name]) is None]
        return f"its {computed[0]} is computed from the input" if computed else None

    def add_constant(self, value: Tensor, before: fx.Node) -> fx.Node:
        """A new constant. Names are numbered in order of creation, so that the same model gives the same file."""
        name = f"constant_{self._constants}"
        self._constants += 1
        self.module.register_buffer(name, value.detach().contiguous())
        with self.module.graph.inserting_before(before):
            node = self.module.graph.get_attr(name)
        node.meta["val"] = self._fake_mode.from_tensor(getattr(self.module, name), static_shapes=True)
        return node

    def call(
        self,
        before: fx.Node,
        target: Target,
        args: Sequence[Any],
        provenance: Provenance,
        kwargs: Mapping[str, Any] | None = None,
    ) -> fx.Node:
        """Inserts a call, with its fake result computed from the arguments'."""
        function = _function(target)
        with self.module.graph.inserting_before(before):
            node = self.module.graph.call_function(function, tuple(args), dict(kwargs or {}))
        self.revalue(node)
        node.meta["nn_module_stack"] = before.meta.get("nn_module_stack", {})
        provenance.attach(node)
        return node

    def revalue(self, node: fx.Node) -> None:
        """Computes the fake result of ``node`` from those of its arguments as they are now.

        Views may need a copy meanwhile: `settle_views` sees to them in the end.
        """
        function = _function(torch.ops.aten.reshape.default if node.target in _VIEWS else node.target)
        # Without the Python dispatcher, operators made of others ask for integers as sizes, which fixes the batch.
        with self._fake_mode, enable_python_dispatcher():
            args, kwargs = fx.map_arg((node.args, node.kwargs), self._fake)
            node.meta["val"] = function(*args, **kwargs)

    def _fake(self, node: fx.Node) -> Any:
        if "val" not in node.meta and (constant := self.constant(node)) is not None:
            node.meta["val"] = self._fake_mode.from_tensor(constant, static_shapes=True)
        return node.meta["val"]

    def outputs(self, node: fx.Node, before: fx.Node) -> list[fx.Node]:
        """``getitem`` nodes for a node that returns a tuple; each carries the node's provenance."""
        count = len(node.meta["val"])
        return [self.call(before, operator.getitem, (node, i), Provenance.of(node)) for i in range(count)]

    def refuse(self, node: fx.Node, reason: str) -> None:
        """Notes why ``node`` was not turned into a packed operator, under its name in the training graph, if any."""
        for name in Provenance.of(node).sources[:1]:
            self.reasons[name] = reason

    def note(self, node: fx.Node, text: str) -> None:
        """Notes what is taken for granted of ``node``, under its name in the training graph, if any."""
        for name in Provenance.of(node).sources[:1]:
            self.notes[name] = text

    def warn(self, node: fx.Node, text: str) -> None:
        """Notes what the user should look at in ``node``, under its name in the training graph, if any."""
        for name in Provenance.of(node).sources[:1]:
            self.warnings[name] = text

    def replace(self, old: fx.Node, new: fx.Node) -> None:
        """Gives all users of ``old`` to ``new`` and erases ``old``."""
        old.replace_all_uses_with(new)
        self.module.graph.erase_node(old)

    def sweep(self) -> None:
        """Removes nodes and constants that nothing reads."""
        self.module.graph.eliminate_dead_code()
        used = {node.target for node in self.module.graph.nodes if node.op == "get_attr"}
        tensors = dict((*self.module.named_parameters(), *self.module.named_buffers()))
        for name in tensors.keys() - used:
            owner, _, attribute = name.rpartition(".")
            delattr(self.module.get_submodule(owner), attribute)

    def clean(self) -> None:
        """Sweeps and checks the graph, and generates the module's code anew, so that it can be called."""
        self.sweep()
        self.module.graph.lint()
        self.module.recompile()


def sole_user(node: fx.Node) -> fx.Node | None:
    """The only node that reads ``node``, or None if there are none or several."""
    users = list(node.users)
    return users[0] if len(users) == 1 else None


def shape(node: fx.Node) -> tuple[int, ...]:
    """Where the batch is dynamic, its entry is a symbol: equal to itself and to no number."""
    return tuple(node.meta["val"].shape)


def view_shape(node: fx.Node) -> list[int]:
    """The node's shape as an argument of `view`, which infers a dynamic batch."""
    return [size if isinstance(size, int) else -1 for size in shape(node)]


def arguments(node: fx.Node) -> dict[str, Any]:
    """All arguments of an operator call by the names of its schema, defaults filled in."""
    given = dict(node.kwargs)
    parameters = _parameters(node.target)
    return {
        name: node.args[i] if i < len(node.args) else given.get(name, default)
        for i, (name, default) in enumerate(parameters)
    }


@functools.cache
def _parameters(target: Any) -> tuple[tuple[str, Any], ...]:
    """Names and default values of an operator's arguments."""
    return tuple((argument.name, argument.default_value) for argument in target._schema.arguments)


def operator_name(node: fx.Node) -> str:
    """``namespace::name`` of an operator call; the Python name of anything else (``getitem``, delegate calls)."""
    schema = getattr(node.target, "_schema", None)
    if schema is None:
        schema = getattr(getattr(node.target, "_op", None), "_schema", None)
    return str(schema.name) if schema is not None else getattr(node.target, "__name__", str(node.target))


def input_nodes(graph: Graph) -> Iterator[fx.Node]:
    return (node for node in graph.module.graph.nodes if node.op == "placeholder")


def _function(target: Target) -> Callable[..., Any]:
    assert callable(target), f"{target} is the name of a method, not an operator"
    return target


def _module_path(node: fx.Node) -> str:
    stack = list(node.meta.get("nn_module_stack", {}).values())
    return str(stack[-1][0]) if stack else ""
