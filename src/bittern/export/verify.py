"""Proof that a file does what the trained model does, layer by layer.

Every output of every Bittern operator in the file is compared:

* with the operator's **reference**, given the very inputs that the engine gave to the operator: bits and floats must be
  equal. A difference is an error of a kernel.
* with the **trained model** in PyTorch, where it has that tensor. Float rounding differs there (XNNPACK against
  PyTorch, folded BatchNorm), so a value that lies within rounding error of its threshold may get the other sign, and
  later layers of that image follow. The first bits of an image that differ must lie that close; a difference elsewhere
  is an error of the exporter. Files whose float layers are int8 differ by more than rounding: there the first
  comparison decides, and the operators' constants must be those that the exporter makes of the model.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import fx, nn

from bittern import runtime
from bittern.export import passes
from bittern.export.capture import capture
from bittern.export.comparison import Call, Comparison
from bittern.export.constants import other_constants
from bittern.export.graph import Provenance
from bittern.export.verification import Verification
from bittern.runtime.metadata import Operator

if TYPE_CHECKING:
    from bittern.runtime import OperatorCall, Results

_CHUNK = 64
_CHUNK_VALUES = _CHUNK * 3 * 32 * 32
"""Images that PyTorch computes at a time at most, and numbers in them: what layers give is kept for all of them."""


def verify(
    module: nn.Module, path: str | os.PathLike[str], images: np.ndarray, results: "Results | None" = None
) -> Verification:
    """Compares the file at ``path`` with ``module``, from which it was exported, on ``images``.

    Args:
        images: float32 ``[N, C, H, W]``, preprocessed.
        results: what the engine gave for these images elsewhere, with a trace (`bittern.runtime.run_in_process`). The
            engine runs here if it is None.

    Raises:
        ExportError: the file was exported from another model.
        TypeError, ValueError: ``images`` are no numpy array, of another dtype or shape, or empty.
        ModelFileError: the file is damaged or no Bittern file.
    """
    _check(images)
    engine = runtime.load(path)
    max_batch = engine.metadata.input_shape[0] if engine.metadata.dynamic_batch else None
    chunk = min(_chunk(images), max_batch or _CHUNK)
    input_shape = (chunk, *engine.metadata.input_shape[1:])
    comparison = Comparison(module, input_shape, engine.metadata.operators, max_batch)
    for start in range(0, len(images), chunk):
        part = images[start : start + chunk]
        if results is None:
            comparison.add(part, engine(part), engine.trace(part))
        else:
            rows = slice(start, start + chunk)
            cut = zip(results.calls, engine.metadata.operators, strict=True)
            comparison.add(part, results.logits[rows], [_cut(call, op.activations, rows) for call, op in cut])
    other = None
    if engine.metadata.int8 or comparison.steps:
        graph = capture(module, torch.zeros(input_shape), max_batch)
        passes.run(graph)
        other = other_constants(graph, engine.metadata.operators, engine.trace(images[:1]))
    result = comparison.result(runtime.isa() if results is None else results.isa, other)
    return replace(result, int8=engine.metadata.int8)


def verify_reference(module: nn.Module, images: np.ndarray) -> Verification:
    """Compares the deployed graph of ``module``, run in PyTorch by the operators' references, with ``module`` itself.

    This is :func:`verify` without engine and file: a difference is an error of the exporter's passes.

    Args:
        images: float32 ``[N, C, H, W]``, preprocessed.

    Raises:
        ExportError: the module cannot be captured.
        TypeError, ValueError: ``images`` are no numpy array, of another dtype, or empty.
    """
    _check(images)
    chunk = _chunk(images)
    graph = capture(module, torch.zeros(chunk, *images.shape[1:]))
    passes.run(graph)
    nodes = [node for node in graph.calls() if _is_operator(node)]
    operators = [Operator(_name(node), Provenance.of(node).path, Provenance.of(node).outputs, ()) for node in nodes]
    comparison = Comparison(module, (chunk, *images.shape[1:]), operators)
    for start in range(0, len(images), chunk):
        part = images[start : start + chunk]
        program = _Calls(graph.module, len(part))
        with torch.no_grad():
            logits = program.run(comparison.filled(part))[: len(part)]
        comparison.add(part, logits.numpy(), program.calls)
    return comparison.result("reference")


def _check(images: object) -> None:
    if not isinstance(images, np.ndarray):
        raise TypeError(f"images must be a float32 numpy array, got {type(images).__name__}: give images.numpy()")
    if images.dtype != np.float32:
        raise ValueError(f"images must be float32, got {images.dtype}: convert them with images.astype(np.float32)")
    if images.ndim == 0 or images.size == 0:
        raise ValueError(f"images must hold at least one image, got shape {list(images.shape)}")


def _chunk(images: np.ndarray) -> int:
    size: int = images[0].size
    return max(1, min(_CHUNK, len(images), _CHUNK_VALUES // size))


def _is_operator(node: fx.Node) -> bool:
    return isinstance(node.target, torch._ops.OpOverload) and node.target.namespace == "bittern"


def _name(node: fx.Node) -> str:
    return str(node.target._schema.name).removeprefix("bittern::")  # type: ignore[union-attr]


def _cut(call: "OperatorCall", activations: Sequence[int], rows: slice) -> "OperatorCall":
    """A call on a part of its images."""
    inputs = tuple(
        value[rows] if i in activations and isinstance(value, np.ndarray) else value
        for i, value in enumerate(call.inputs)
    )
    return replace(call, inputs=inputs, outputs=tuple(output[rows] for output in call.outputs))


class _Calls(fx.Interpreter):
    """Runs a deployed graph and keeps the calls of Bittern's operators on the first ``count`` images."""

    def __init__(self, module: fx.GraphModule, count: int) -> None:
        super().__init__(module)
        self.count = count
        self.calls: list[Call] = []

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if n.op == "call_function" and _is_operator(n):
            outputs = result if isinstance(result, tuple) else (result,)
            self.calls.append(Call(_name(n), tuple(output[: self.count].numpy() for output in outputs)))
        return result
