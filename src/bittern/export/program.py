"""`to_pte`: a trained module becomes a file that the engine runs."""

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bittern import __version__
from bittern._files import write_atomically
from bittern.export import passes
from bittern.export.capture import capture
from bittern.export.errors import ExportError, ExportWarning
from bittern.export.explain import Explanation, explain
from bittern.export.graph import Graph, Origin
from bittern.export.lower import Lowered, Operators, lower
from bittern.export.passes.binary import BINARIZE
from bittern.runtime import container
from bittern.runtime.metadata import Metadata, Operator, Preprocessing


@dataclass(frozen=True)
class Export:
    """What :func:`to_pte` wrote: the file, its size in bytes, its metadata, and what runs where."""

    path: Path
    size: int
    metadata: Metadata
    explanation: Explanation


def to_pte(
    module: nn.Module,
    example: Tensor,
    path: str | os.PathLike[str],
    *,
    name: str | None = None,
    class_names: Sequence[str] | None = None,
    preprocessing: Preprocessing | None = None,
) -> Export:
    """Exports ``module`` for inputs shaped like ``example`` and writes the file at ``path``.

    Layers whose input comes from `bittern::binarize` and whose weights hold one magnitude per filter run on packed
    bits; everything else runs in XNNPACK. The module itself is not changed. The same input gives the same bytes.

    Args:
        module: any `nn.Module` of one input and one output; exported as if in evaluation mode, on the CPU.
        example: float32, usually ``[N, C, H, W]``; N is the batch that the engine computes at a time.
        path: written under a temporary name, then renamed.
        name: the model's name in the metadata; the class name by default.
        class_names: one per output, for `bittern run`.
        preprocessing: how pixels become the input, for `bittern run`.

    Raises:
        ExportError: the module cannot be captured or lowered.
        OSError: the file cannot be written.

    Warns:
        ExportWarning: nothing in the module is binary, or a float operator fell to a slow kernel.
    """
    graph = capture(module, example)
    nodes = [(node.name, Origin.of(node).path, node.target) for node in graph.calls()]
    passes.run(graph)
    _explain_binarize(graph)
    output_shape = tuple(int(size) for size in _output(graph).meta["val"].shape)
    written: list[Metadata] = []

    def metadata(operators: Operators) -> dict[str, Any]:
        card = Metadata(
            bittern=__version__,
            executorch=version("executorch"),
            model=name or type(module).__name__,
            input_shape=tuple(example.shape),
            output_shape=output_shape,
            class_names=None if class_names is None else tuple(class_names),
            preprocessing=preprocessing,
            operators=tuple(Operator(op, origin.path, origin.outputs, activations(op)) for op, origin in operators),
        )
        written.append(card)
        return card.to_json()

    if class_names is not None and len(class_names) != output_shape[-1]:
        raise ExportError(f"{len(class_names)} class names for {output_shape[-1]} outputs: give one per output")
    lowered = lower(graph, example.cpu(), metadata)
    explanation = explain(nodes, lowered.placements, graph.reasons)
    _warn(lowered, explanation)
    data = container.append_footer(lowered.program)
    target = Path(path)
    write_atomically(target, data)
    return Export(target, len(data), written[0], explanation)


def activations(op: str) -> tuple[int, ...]:
    """Positions of the arguments of a Bittern operator that are computed from the images."""
    schema = getattr(torch.ops.bittern, op).default._schema
    return tuple(i for i, argument in enumerate(schema.arguments) if argument.name in ("x", "residual"))


def deployed_graph(module: nn.Module, example: Tensor) -> torch.fx.GraphModule:
    """The program that the engine runs, as a PyTorch module: the references of Bittern's operators, node by node."""
    graph = capture(module, example)
    passes.run(graph)
    return graph.module


def _output(graph: Graph) -> torch.fx.Node:
    outputs: Any = graph.module.graph.output_node().args[0]
    result: torch.fx.Node = outputs[0]
    return result


def _explain_binarize(graph: Graph) -> None:
    """A `binarize` that is left is computed in float, because some reader needs floats."""
    for node in graph.calls(BINARIZE):
        graph.refuse(node, f"read as float by {', '.join(user.name for user in node.users)}")


def _warn(lowered: Lowered, explanation: Explanation) -> None:
    if not any(name != "binarize" for name, _ in lowered.operators):
        message = "nothing in this model is binary: it runs in XNNPACK alone (do its layers call bittern::binarize?)"
        warnings.warn(message, ExportWarning, stacklevel=3)
    for row in explanation.fallbacks:
        where = f" in {row.path}" if row.path else ""
        message = f"{row.node}{where} runs in ExecuTorch's slow {row.kernel}: XNNPACK does not take it"
        warnings.warn(message, ExportWarning, stacklevel=3)
