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
from bittern.export.graph import Graph, Provenance
from bittern.export.lower import Lowered, Operators, lower
from bittern.export.passes.signs import BINARIZE
from bittern.export.quantize import check_calibration, quantize
from bittern.export.run_once import check_runs, uncertain
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
    max_batch: int | None = None,
    int8: Tensor | Sequence[Tensor] | None = None,
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
        max_batch: the engine computes any number of images from 1 to this at once, whatever the example's batch; the
            memory of a loaded file is that of the largest batch. None: the example's batch.
        int8: float layers compute on 8-bit integers, scaled by the values that these calibration images give: float32
            ``[M, ...]``, preprocessed, in one tensor or several; some hundred from the training set do. Bits and
            thresholds of Bittern's operators are the same. None: float layers compute in float32.

    Raises:
        ExportError: the module cannot be captured or lowered, does not run in the engine, or the calibration images or
            the preprocessing do not fit. The message names the module, the operator and the way out.
        OSError: the file cannot be written.

    Warns:
        ExportWarning: nothing in the module is binary, or a float operator fell to a slow kernel.
    """
    if max_batch is not None and (not isinstance(max_batch, int) or isinstance(max_batch, bool) or max_batch < 1):
        raise ExportError(f"max_batch must be an integer of at least 1, got {max_batch!r}")
    graph = capture(module, example, max_batch)
    if preprocessing is not None and (reason := preprocessing.why_not(example.shape)) is not None:
        raise ExportError(f"preprocessing does not fit: {reason}")
    images = None if int8 is None else check_calibration(int8, tuple(example.shape))
    nodes = [(node.name, Provenance.of(node).path, node.target) for node in graph.calls() if _is_tensor(node)]
    passes.run(graph)
    _explain_binarize(graph)
    input_shape = (max_batch or example.shape[0], *example.shape[1:])
    output_shape = tuple(size if isinstance(size, int) else input_shape[0] for size in _output(graph).meta["val"].shape)
    if images is not None:
        quantize(graph, images)
    written: list[Metadata] = []

    def metadata(operators: Operators) -> dict[str, Any]:
        card = Metadata(
            bittern=__version__,
            executorch=version("executorch"),
            model=name or type(module).__name__,
            input_shape=input_shape,
            output_shape=output_shape,
            class_names=None if class_names is None else tuple(class_names),
            preprocessing=preprocessing,
            operators=tuple(Operator(op, origin.path, origin.outputs, activations(op)) for op, origin in operators),
            dynamic_batch=input_shape[0] > 1 and max_batch is not None,
            int8=int8 is not None,
        )
        written.append(card)
        return card.to_json()

    if class_names is not None and len(class_names) != output_shape[-1]:
        raise ExportError(f"{len(class_names)} class names for {output_shape[-1]} outputs: give one per output")
    lowered = lower(graph, example.cpu(), metadata, max_batch)
    explanation = explain(nodes, lowered.placements, graph.reasons)
    data = container.append_footer(lowered.program)
    int8_layers, dynamic = int8 is not None, max_batch is not None
    if uncertain(explanation) or dynamic or int8_layers:
        check_runs(data, module, input_shape, explanation, int8=int8_layers, dynamic=dynamic)
    _warn(lowered, explanation)
    target = Path(path)
    write_atomically(target, data)
    return Export(target, len(data), written[0], explanation)


def activations(op: str) -> tuple[int, ...]:
    """Positions of the arguments of a Bittern operator that are computed from the images."""
    schema = getattr(torch.ops.bittern, op).default._schema
    return tuple(i for i, argument in enumerate(schema.arguments) if argument.name in ("x", "residual", "a", "b"))


def deployed_graph(module: nn.Module, example: Tensor) -> torch.fx.GraphModule:
    """The program that the engine runs, as a PyTorch module: the references of Bittern's operators, node by node."""
    graph = capture(module, example)
    passes.run(graph)
    return graph.module


def _is_tensor(node: torch.fx.Node) -> bool:
    """Not a size that is computed from a dynamic batch."""
    return not isinstance(node.meta.get("val"), (torch.SymInt, int))


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
