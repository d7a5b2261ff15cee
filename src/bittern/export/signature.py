"""How a module is called: from any example to a flat list of tensors, and from any result to another.

The exporter works on flat lists alone: `flat_calls` gives a module a `forward` that takes and returns them, so that
neither torch.export nor any later stage meets keywords, dicts or dataclasses.
"""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from bittern.export.errors import ExportError
from bittern.export.graph import Graph, input_nodes
from bittern.export.products import tensor_shape
from bittern.runtime.signature import DTYPES, SINGLE_INPUT, SINGLE_OUTPUT, Nested, Signature, Structure, TensorSpec

Example = Tensor | Sequence[Tensor] | Mapping[str, Tensor]
"""One tensor, several in the order of `forward`'s parameters, or by their names."""

_CONVERTED = (torch.float16, torch.bfloat16, torch.float64)
_OWN_FORWARD = "_own_forward"


@dataclass(frozen=True)
class Call:
    """A call of a module: its tensors in order, their names, and how many of them it takes by position.

    ``remarks``: what was done to the example, in sentences for the user.
    """

    names: tuple[str, ...]
    tensors: tuple[Tensor, ...]
    positional: int
    remarks: tuple[str, ...]

    @property
    def batched(self) -> tuple[bool, ...]:
        """Which inputs hold something for each image: the first one, and all of the same first dimension."""
        batch = next((tensor.shape[0] for tensor in self.tensors if tensor.dim() > 0), None)
        return tuple(tensor.dim() > 0 and tensor.shape[0] == batch for tensor in self.tensors)


def call_of(module: nn.Module, example: Example) -> Call:
    """The call of ``module`` that ``example`` stands for; its tensors on the CPU, of dtypes that the engine takes.

    Raises:
        ExportError: `forward` takes other arguments, or they are no tensors that the engine takes.
    """
    args, kwargs = _arguments(example)
    given = _named(module, args, kwargs)
    names: list[str] = []
    tensors: list[Tensor] = []
    remarks: list[str] = []
    for name, value, _ in given:
        names.append(name)
        tensors.append(_taken(name, value, len(given), remarks))
    positional = next((i for i, (*_, keyword) in enumerate(given) if keyword), len(given))
    if not any(tensor.dim() > 0 for tensor in tensors):
        raise ExportError("the example input has no dimensions; its first one must be the batch")
    if len(set(names)) < len(names):
        raise ExportError(f"two inputs have one name: {', '.join(names)}; give the parameters of forward other names")
    return Call(tuple(names), tuple(tensors), positional, tuple(remarks))


def _arguments(example: object) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(example, Mapping):
        return (), dict(example)
    args = tuple(example) if isinstance(example, (tuple, list)) else (example,)
    if not args:
        raise ExportError("the example holds no inputs; give a tensor for each input of forward")
    return args, {}


def _named(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[tuple[str, Any, bool]]:
    """Name, value, and whether it is passed by keyword, in the order of `forward`'s parameters."""
    try:
        signature = inspect.signature(module.forward)
    except (TypeError, ValueError):
        names = [SINGLE_INPUT] if len(args) == 1 else [f"input_{i}" for i in range(len(args))]
        return [*((n, v, False) for n, v in zip(names, args, strict=True)), *((n, v, True) for n, v in kwargs.items())]
    try:
        bound = signature.bind(*args, **kwargs).arguments
    except TypeError as error:
        what = f"inputs named {', '.join(kwargs)}" if kwargs else f"{len(args)} tensors" if args[1:] else "one tensor"
        raise ExportError(
            f"{type(module).__name__}.forward{signature} does not take {what} ({error}); as the example, give a tensor "
            "for each of its inputs: a tuple in their order, or a dict by their names"
        ) from None
    found: list[tuple[str, Any, bool]] = []
    left_out = False
    for parameter in signature.parameters.values():
        if parameter.name not in bound:
            left_out = True
        elif parameter.kind is parameter.VAR_POSITIONAL:
            found += [(f"{parameter.name}_{i}", value, False) for i, value in enumerate(bound[parameter.name])]
        elif parameter.kind is parameter.VAR_KEYWORD:
            found += [(name, value, True) for name, value in bound[parameter.name].items()]
        elif bound[parameter.name] is None and parameter.default is None:
            left_out = True
        else:
            keyword = left_out or parameter.kind is parameter.KEYWORD_ONLY
            found.append((parameter.name, bound[parameter.name], keyword))
    return found


def _taken(name: str, value: object, count: int, remarks: list[str]) -> Tensor:
    """An input's example, on the CPU and of a dtype that the engine takes."""
    called = "the example input" if count == 1 else f"the example of input {name}"
    if not isinstance(value, Tensor):
        raise ExportError(
            f"{called} is {type(value).__name__}, no tensor: fix it in a module whose forward takes the tensors alone"
        )
    if value.layout is not torch.strided or value.is_quantized:
        raise ExportError(f"{called} is sparse or quantized; give an ordinary tensor")
    if 0 in value.shape:
        raise ExportError(f"{called} is empty: {list(value.shape)}; give at least one image")
    value = value.detach().cpu()
    if value.dtype in _CONVERTED:
        remarks.append(f"input {name} is {_dtype(value)}: it is taken as float32, in which the engine computes")
        value = value.float()
    if _dtype(value) not in DTYPES:
        raise ExportError(
            f"{called} is {value.dtype}; the engine takes {', '.join(DTYPES)}: convert it, with .float() or .int()"
        )
    if _dtype(value) in ("int32", "int64", "uint8") and value.numel() > 1 and value.min() == value.max():
        remarks.append(
            f"input {name} is {value.min()} everywhere in the example, so no other integers are tried before the file "
            "is written: give an example with the smallest and the largest"
        )
    return value


def takes_by_position(module: Any, names: Sequence[str]) -> bool:
    """Whether `forward` takes inputs of these names in this order, without their names."""
    try:
        kinds = inspect.signature(module.forward if isinstance(module, nn.Module) else module).parameters
    except (TypeError, ValueError):
        return True
    first = [name for name, parameter in kinds.items() if parameter.kind is not parameter.KEYWORD_ONLY]
    return first[: len(names)] == list(names) or not set(names) <= set(kinds)


def _dtype(value: Tensor) -> str:
    return str(value.dtype).removeprefix("torch.")


def flat_calls(module: nn.Module, call: Call) -> nn.Module:
    """``module`` itself, changed: its `forward` takes the call's tensors by position and returns a tensor or a tuple.

    It becomes an object of a subclass, not a part of a wrapper, so that the paths of its modules stay. A graph is left
    as it is: torch.export reads it, whatever its `forward`, and takes its results apart in the same order.
    """
    if isinstance(module, fx.GraphModule):
        return module
    own = vars(module).pop("forward", None)  # of the object, which would hide that of its class
    if own is not None:
        vars(module)[_OWN_FORWARD] = own  # where copies of the module find that of their own
    kind: Any = type(module)

    def forward(self: Any, *inputs: Tensor) -> Any:
        inner = super(flat, self).forward if own is None else vars(self)[_OWN_FORWARD]
        keywords = dict(zip(call.names[call.positional :], inputs[call.positional :], strict=True))
        result = inner(*inputs[: call.positional], **keywords)
        flat.structure, tensors, flat.output_names = flatten(result)
        return tensors[0] if flat.structure == 0 else tuple(tensors)

    names = [name if name.isidentifier() else f"input_{i}" for i, name in enumerate(call.names)]
    parameters = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in ("self", *names)]
    forward.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    flat: Any = type(kind.__name__, (kind,), {"forward": forward, "__module__": kind.__module__})
    module.__class__ = flat
    return module


def flatten(result: object) -> tuple[Structure, list[Any], list[str]]:
    """The structure of a module's result, its tensors, and their names: keys, fields and positions, with dots.

    Dataclasses become dicts of their fields, named tuples tuples.
    """
    tensors: list[Any] = []
    names: list[str] = []

    def walk(value: object, path: tuple[str, ...]) -> Structure:
        items = _items(value)
        if items is not None:
            kind, entries, labels = items
            inner = tuple(walk(e, (*path, str(label))) for e, label in zip(entries, labels, strict=True))
            return Nested(kind, inner, tuple(labels) if kind == "dict" else ())
        if value is None and path:
            return None
        tensors.append(value)
        names.append(".".join(path) or SINGLE_OUTPUT)
        return len(tensors) - 1

    return walk(result, ()), tensors, _distinct(names)


def _distinct(names: list[str]) -> list[str]:
    """``names``, with numbers where one stands twice: ``a.0`` may be a key, and the first of ``a``."""
    seen: set[str] = set()
    for i, name in enumerate(names):
        if name in seen:
            names[i] = f"{name}_{i}"
        seen.add(names[i])
    return names


def _items(value: Any) -> tuple[str, Sequence[object], Sequence[Any]] | None:
    """Kind, parts and their labels; None for what is no container."""
    if isinstance(value, Mapping):
        if other := [key for key in value if not isinstance(key, (str, int)) or isinstance(key, bool)]:
            raise ExportError(f"the model returns a dict with the key {other[0]!r}; use strings or integers as keys")
        return "dict", list(value.values()), list(value)
    if is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in fields(value)]
        return "dict", [getattr(value, name) for name in names], names
    if isinstance(value, (tuple, list)):
        labels = getattr(value, "_fields", range(len(value)))
        return "list" if isinstance(value, list) else "tuple", value, list(labels)
    return None


def tensors_of(result: object) -> tuple[Tensor, ...]:
    """The flat list of what a module or a graph returned: one tensor, or several."""
    return tuple(flatten(result)[1])


def signature_of(module: Any, call: Call, graph: Graph, batch: int) -> Signature:
    """The signature of a module with flat calls, of which ``graph`` was captured; ``batch``: the largest.

    Raises:
        ExportError: an output is no tensor that the engine gives, or has not the batch in front.
    """
    shapes = [(batch, *t.shape[1:]) if b else tuple(t.shape) for t, b in zip(call.tensors, call.batched, strict=True)]
    inputs = tuple(
        TensorSpec(name, shape, _dtype(tensor), batched)
        for name, shape, tensor, batched in zip(call.names, shapes, call.tensors, call.batched, strict=True)
    )
    if isinstance(module, fx.GraphModule):
        with torch.no_grad():
            structure, _, names = flatten(module(*(tensor.clone() for tensor in call.tensors)))
    else:
        structure, names = module.structure, module.output_names  # of the trace
    depending = _depending(graph, call.batched)
    outputs = graph.module.graph.output_node().args[0]
    assert isinstance(outputs, (tuple, list))
    if not outputs:
        raise ExportError("the model returns no tensor; export a module that returns one tensor or more")
    rows = next(node.meta["val"].shape[0] for node, b in zip(input_nodes(graph), call.batched, strict=True) if b)
    growing = set() if depending.issuperset(outputs) else _growing(module, call)
    specs = tuple(
        _output(name, output, output in depending or i in growing, rows, batch)
        for i, (name, output) in enumerate(zip(names, outputs, strict=True))
    )
    return Signature(inputs, specs, structure)


def _growing(module: nn.Module, call: Call) -> set[int]:
    """The outputs that get one row more with one image more, such as `torch.zeros(x.shape[0], 3)`, which reads none."""
    inputs = [torch.cat([t, t[:1]]) if b else t.clone() for t, b in zip(call.tensors, call.batched, strict=True)]
    try:
        with torch.no_grad():
            before, after = (tensors_of(module(*x)) for x in ([t.clone() for t in call.tensors], inputs))
    except Exception:
        return set()  # it takes batches of one size only
    pairs = enumerate(zip(before, after, strict=True))  # a module may return something else, which is refused later
    return {i for i, (a, b) in pairs if isinstance(a, Tensor) and a.dim() > 0 and len(b) == len(a) + 1}


def _depending(graph: Graph, batched: Sequence[bool]) -> set[fx.Node]:
    """The nodes that depend on a batched input."""
    found = {node for node, b in zip(input_nodes(graph), batched, strict=True) if b}
    for node in graph.module.graph.nodes:
        if not found.isdisjoint(node.all_input_nodes):
            found.add(node)
    return found


def _output(name: str, output: object, depends: bool, rows: Any, batch: int) -> TensorSpec:
    what = "the model returns" if name == SINGLE_OUTPUT else f"the model returns, as {name},"
    value = output.meta.get("val") if isinstance(output, fx.Node) else output
    if not isinstance(value, Tensor):
        raise ExportError(f"{what} {value!r}; export a module that returns one tensor, or several")
    if _dtype(value) not in DTYPES:
        raise ExportError(f"{what} {value.dtype}; the engine gives {', '.join(DTYPES)}: convert it")
    if not depends:
        return TensorSpec(name, tensor_shape(value, batch), _dtype(value), batched=False)
    if value.dim() == 0:
        raise ExportError(f"{what} one number for the whole batch; return one row for each image")
    if value.shape[0] != rows:
        raise ExportError(
            f"{what} shape {list(value.shape)} for a batch of {rows}; its first dimension must be the batch: "
            "squeeze(dim) instead of squeeze(), flatten(1) instead of flatten()"
        )
    return TensorSpec(name, tensor_shape(value, batch), _dtype(value))


def output_nodes(graph: Graph) -> Iterator[fx.Node]:
    """The nodes that compute the flat list of outputs, in its order; one may stand there more than once."""
    outputs = graph.module.graph.output_node().args[0]
    assert isinstance(outputs, (tuple, list))
    return (output for output in outputs if isinstance(output, fx.Node))
