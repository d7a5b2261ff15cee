"""Proof that a file does what the trained model does, layer by layer.

Every output of every Bittern operator in the file is compared:

* with the operator's **reference**, given the very inputs that the engine gave to the operator: bits and floats must be
  equal. A difference is an error of a kernel.
* with the **trained model** in PyTorch, where it has that tensor. The result is the module's own; tensors in between
  are those of the graph that torch captured of it, whose result must be the module's too. Float rounding
  differs there (XNNPACK against PyTorch, folded BatchNorm), so a value that lies within rounding error of its threshold
  may get the other sign, and later layers of that image follow. The first bits of an image that differ must lie that
  close; a difference elsewhere is an error of the exporter. Files whose float layers are int8 differ by more than
  rounding: there the first comparison decides, and the operators' constants must be those that the exporter makes of
  the model.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, fx, nn
from torch.utils._pytree import tree_map

from bittern import runtime
from bittern.export.capture import Captured, capture, channels_last
from bittern.export.deployed import Deployed
from bittern.export.graph import operator_name
from bittern.export.rewrite import rewrite
from bittern.export.signature import Example, takes_by_position, tensors_of
from bittern.export.verify.comparison import Comparison, ReferenceCall
from bittern.export.verify.constants import other_constants
from bittern.export.verify.inputs import tensors
from bittern.export.verify.result import Verification
from bittern.runtime.arguments import bind, count_of, rows_of
from bittern.runtime.signature import Signature, TensorSpec

if TYPE_CHECKING:
    from bittern.runtime import Engine, OperatorCall, Results
    from bittern.runtime.arguments import Array
    from bittern.runtime.child_process import Inputs

_CHUNK = 64
_CHUNK_VALUES = _CHUNK * 3 * 32 * 32
"""Images that PyTorch computes at a time at most, and numbers in them: what layers give is kept for all of them."""


def verify(
    module: nn.Module, path: str | os.PathLike[str], images: "Inputs | Example", results: "Results | None" = None
) -> Verification:
    """Compares the file at ``path`` with ``module``, from which it was exported, on ``images``.

    Args:
        images: float32 ``[N, C, H, W]``, preprocessed, an array or a tensor; of a network of several inputs a tuple of
            such, or a dict by their names.
        results: what the engine gave for these images elsewhere, with a trace (`bittern.runtime.run_in_process`). The
            engine runs here if it is None.

    Raises:
        ExportError: the file was exported from another model.
        TypeError, ValueError: ``images`` is no array or tensor, of another dtype or shape, or empty.
        ModelFileError: the file is damaged or no Bittern file.
    """
    engine = runtime.load(path)
    card, signature = engine.metadata, engine.signature
    inputs = _given(signature, tree_map(_array, images))
    # A dynamic batch gives the nodes other names.
    max_batch = signature.batch if card.dynamic_batch else None
    example = tensors(rows_of(signature, inputs, slice(_chunk(signature, inputs))))
    captured = capture(module, _example(module, signature, example), max_batch)
    deployed = rewrite(captured) if card.int8 or captured.rounds else None
    return compare(captured, deployed, engine, inputs, results)


def _array(value: object) -> object:
    return value.detach().cpu().numpy() if isinstance(value, Tensor) else value


def _given(signature: Signature, images: "Inputs") -> "tuple[Array, ...]":
    """The arrays of a call, checked; one array alone as images."""
    if signature.is_single and not isinstance(images, (Mapping, tuple, list)):
        _images(images)
    if isinstance(images, Mapping):
        return bind(signature, (), images)
    return bind(signature, images if isinstance(images, (tuple, list)) else (images,), {})


def _example(module: nn.Module, signature: Signature, inputs: tuple[Tensor, ...]) -> Example:
    """The example that gives the inputs their names again."""
    names = [spec.name for spec in signature.inputs]
    if len(inputs) == 1 or takes_by_position(module, names):
        return inputs
    return dict(zip(names, inputs, strict=True))


def compare(
    captured: Captured,
    deployed: Deployed | None,
    engine: "Engine",
    inputs: "Sequence[Array]",
    results: "Results | None" = None,
    *,
    chunk: int | None = None,
) -> Verification:
    """`verify` for a model that is captured already, and rewritten where constants are to be compared.

    ``inputs`` are computed in batches of the captured one, or where it is dynamic of ``chunk``, by default `_CHUNK` at
    most.
    """
    operators, signature = engine.metadata.operators, captured.signature
    if captured.max_batch is None:
        chunk = captured.batch
    elif chunk is None:
        chunk = min(_chunk(signature, inputs), captured.max_batch)
    comparison = Comparison(captured, operators, chunk)
    for start in range(0, count_of(signature, inputs), chunk):
        rows = slice(start, start + chunk)
        part = rows_of(signature, inputs, rows)
        if results is None:
            comparison.add(part, signature.flatten(engine(*part)), engine.trace(*part))
        else:
            outputs = [x[rows] if s.batched else x for s, x in zip(signature.outputs, results.outputs, strict=True)]
            calls = zip(results.calls, operators, strict=True)
            comparison.add(part, outputs, [_cut(call, op.activations, rows) for call, op in calls])
    first = rows_of(signature, inputs, slice(1))
    other = None if deployed is None else other_constants(deployed, operators, engine.trace(*first))
    result = comparison.result(runtime.isa() if results is None else results.isa, other)
    return replace(result, int8=engine.metadata.int8)


def verify_reference(module: nn.Module, images: "np.ndarray | Tensor") -> Verification:
    """Compares the deployed graph of ``module``, run in PyTorch by the operators' references, with ``module`` itself.

    This is :func:`verify` without engine and file: a difference is an error of the exporter's passes.

    Args:
        images: float32 ``[N, C, H, W]``, preprocessed.

    Raises:
        ExportError: the module cannot be captured.
        TypeError, ValueError: ``images`` is no array or tensor, of another dtype, or empty.
    """
    images = _images(images)
    whole = Signature((TensorSpec("images", images.shape),), (), None)
    chunk = _chunk(whole, (images,))
    captured = capture(module, torch.zeros(chunk, *images.shape[1:]))
    deployed, signature = rewrite(captured), captured.signature
    comparison = Comparison(captured, deployed.operators, chunk)
    for start in range(0, len(images), chunk):
        part = images[start : start + chunk]
        program = _Calls(deployed.graph.module, len(part))
        with torch.no_grad():
            outputs = tensors_of(program.run(*map(channels_last, comparison.filled((part,)))))
        cut = [x[: len(part)] if s.batched else x for s, x in zip(signature.outputs, outputs, strict=True)]
        comparison.add((part,), [output.numpy() for output in cut], program.calls)
    return comparison.result("reference")


def _images(images: object) -> np.ndarray:
    images = _array(images)
    if not isinstance(images, np.ndarray):
        raise TypeError(f"images must be a float32 array or tensor, got {type(images).__name__}")
    if images.dtype != np.float32:
        raise ValueError(f"images must be float32, got {images.dtype}: convert them with images.astype(np.float32)")
    if images.ndim == 0 or images.size == 0:
        raise ValueError(f"images must hold at least one image, got shape {list(images.shape)}")
    return images


def _chunk(signature: Signature, inputs: "Sequence[Array]") -> int:
    size: int = sum(x[0].size for spec, x in zip(signature.inputs, inputs, strict=True) if spec.batched)
    return max(1, min(_CHUNK, count_of(signature, inputs), _CHUNK_VALUES // max(1, size)))


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
        self.calls: list[ReferenceCall] = []

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        name = operator_name(n)
        if name.startswith("bittern::"):
            outputs = result if isinstance(result, tuple) else (result,)
            self.calls.append(
                ReferenceCall(name.removeprefix("bittern::"), tuple(output[: self.count].numpy() for output in outputs))
            )
        return result
