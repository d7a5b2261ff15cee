"""Proof that a file does what the trained model does, layer by layer.

Two comparisons for every output of every Bittern operator in the file:

* with the operator's **reference**, given the very inputs that the engine gave to the operator: bits and floats must be
  equal. A difference is an error of a kernel.
* with the **trained model** in PyTorch. Float rounding differs there (XNNPACK against PyTorch, folded BatchNorm), so a
  value that lies within rounding error of its threshold may get the other sign, and later layers of that image follow.
  The first bits of an image that differ must lie that close; a difference elsewhere is an error of the exporter.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from bittern import runtime
from bittern.export.capture import capture, channels_last
from bittern.export.errors import ExportError
from bittern.export.graph import Graph
from bittern.export.verification import LayerCheck, Verification
from bittern.ops import layout
from bittern.runtime.metadata import Operator

if TYPE_CHECKING:
    from bittern.runtime import OperatorCall, Results

_CHUNK = 64
"""Images that PyTorch computes at a time."""


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
        ModelFileError: the file is damaged or no Bittern file.
    """
    engine = runtime.load(path)
    chunk = min(_CHUNK, len(images))
    comparison = _Comparison(module, (chunk, *engine.metadata.input_shape[1:]), engine.metadata.operators)
    for start in range(0, len(images), chunk):
        part = images[start : start + chunk]
        if results is None:
            comparison.add(part, engine(part), engine.trace(part))
        else:
            rows = slice(start, start + chunk)
            cut = zip(results.calls, engine.metadata.operators, strict=True)
            comparison.add(part, results.logits[rows], [_cut(call, op.activations, rows) for call, op in cut])
    return comparison.result(runtime.isa() if results is None else results.isa)


def _cut(call: "OperatorCall", activations: Sequence[int], rows: slice) -> "OperatorCall":
    """A call on a part of its images."""
    inputs = tuple(
        value[rows] if i in activations and isinstance(value, np.ndarray) else value
        for i, value in enumerate(call.inputs)
    )
    return replace(call, inputs=inputs, outputs=tuple(output[rows] for output in call.outputs))


class _Values(fx.Interpreter):
    """Runs a captured model and keeps the values of all its nodes."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module, garbage_collect_values=False)
        self.values: dict[str, Any] = {}

    def run_node(self, n: fx.Node) -> Any:
        self.values[n.name] = result = super().run_node(n)
        return result


class _Comparison:
    """Adds up the differences of one batch after another."""

    def __init__(self, module: nn.Module, input_shape: tuple[int, ...], operators: Sequence[Operator]) -> None:
        self.input_shape = input_shape
        self.graph: Graph = capture(module, torch.zeros(input_shape))
        self.nodes = {node.name: node for node in self.graph.module.graph.nodes}
        self.operators = operators
        for operator in operators:
            for name in operator.outputs:
                if name is not None and name not in self.nodes:
                    raise ExportError(f"the file was not exported from this model, which has no node {name}")
        self.layers: dict[tuple[int, int], dict[str, Any]] = {}
        self.logit_margin = 0.0
        self.logits: list[np.ndarray] = []
        self.model_logits: list[np.ndarray] = []

    def add(self, images: np.ndarray, logits: np.ndarray, calls: "Sequence[OperatorCall]") -> None:
        """One chunk of images, and the engine's logits and calls on it."""
        if [call.name for call in calls] != [operator.op for operator in self.operators]:
            raise ExportError("the engine called other operators than the file's metadata lists: export it again")
        count = len(images)
        filled = torch.zeros(self.input_shape)
        filled[:count] = torch.from_numpy(np.ascontiguousarray(images))
        values = _Values(self.graph.module)
        with torch.no_grad():
            model_logits = values.run(channels_last(filled))[:count]
        if tuple(model_logits.shape) != logits.shape:
            raise ExportError(
                f"the file gives {list(logits.shape)}, this model {list(model_logits.shape)}: not its file"
            )
        self.logits.append(logits)
        self.model_logits.append(model_logits.numpy())
        diverged = torch.zeros(count, dtype=torch.bool)
        for index, (operator, call) in enumerate(zip(self.operators, calls, strict=True)):
            expected = getattr(torch.ops.bittern, operator.op)(*map(_tensor, call.inputs))
            expected = expected if isinstance(expected, tuple) else (expected,)
            rows = operator.op.startswith("linear") or (operator.op in ("pack", "unpack") and call.inputs[-1] == -1)
            for position, (actual, reference) in enumerate(zip(map(_tensor, call.outputs), expected, strict=True)):
                row = self.layers.setdefault(
                    (index, position), {"values": 0, "reference_differences": 0, "margin": 0.0}
                )
                _compare_reference(row, actual, reference)
                if (name := operator.outputs[position]) is not None:
                    channel_dim = -1 if rows else 1
                    self._compare_model(row, actual, name, values.values, diverged, channel_dim)
        _, share = _difference(torch.from_numpy(logits)[~diverged], model_logits[~diverged])
        self.logit_margin = max(self.logit_margin, share)

    def _compare_model(
        self, row: dict[str, Any], actual: Tensor, name: str, values: dict[str, Any], diverged: Tensor, channel_dim: int
    ) -> None:
        value = values[name]
        value = (value[0] if isinstance(value, (tuple, list)) else value)[: len(actual)]
        if actual.dtype != torch.int32:
            difference, share = _difference(actual[~diverged], value[~diverged])
            row["largest_difference"] = max(row.get("largest_difference") or 0.0, difference)
            row["margin"] = max(row["margin"], share)
            return
        value = value.movedim(channel_dim, -1)
        different = layout.unpack_bits(actual, value.shape[-1]) != (value < 0)
        row["model_differences"] = row.get("model_differences", 0) + int(different.sum())
        images = different.flatten(1).any(1) & ~diverged
        if bool(images.any()):
            source: Any = self.nodes[name].args[0]
            before = values[source.name][: len(actual)].movedim(channel_dim, -1).abs()
            margin = before[images][different[images]].max() / before.max()
            row["margin"] = max(row["margin"], margin.item())
        diverged |= images

    def result(self, isa: str) -> Verification:
        logits, model_logits = np.concatenate(self.logits), np.concatenate(self.model_logits)
        layers = []
        for (index, position), row in sorted(self.layers.items()):
            operator = self.operators[index]
            packed = "packed" in operator.op and (position == 1 or "float" not in operator.op)
            bits = packed or operator.op in ("pack", "max_pool2d") or operator.op.endswith("threshold")
            layers.append(LayerCheck(operator.path, operator.op, "bits" if bits else "float", **row))
        return Verification(
            isa=isa,
            images=len(logits),
            layers=tuple(layers),
            predictions=tuple(int(i) for i in logits.argmax(-1)),
            model_predictions=tuple(int(i) for i in model_logits.argmax(-1)),
            logit_margin=self.logit_margin,
            largest_logit_difference=float(np.abs(logits - model_logits).max()),
        )


def _difference(actual: Tensor, expected: Tensor) -> tuple[float, float]:
    """The largest difference of two tensors, and its share of the largest value; 0 for no values, infinity for NaN."""
    if actual.numel() == 0:
        return 0.0, 0.0
    difference = (actual - expected).abs().max().nan_to_num(nan=float("inf"), posinf=float("inf")).item()
    return difference, difference / max(expected.abs().max().item(), torch.finfo(torch.float32).tiny)


def _compare_reference(row: dict[str, Any], actual: Tensor, reference: Tensor) -> None:
    if actual.shape != reference.shape or actual.dtype != reference.dtype:
        raise ExportError(f"the engine gave {actual.dtype} {list(actual.shape)}, the reference {list(reference.shape)}")
    if actual.dtype == torch.int32:
        words = actual.bitwise_xor(reference)
        row["values"] += actual.numel() * layout.WORD_BITS
        row["reference_differences"] += int(layout.unpack_bits(words, words.shape[-1] * layout.WORD_BITS).sum())
        return
    equal = (actual == reference) | (actual.isnan() & reference.isnan())
    row["values"] += actual.numel()
    row["reference_differences"] += int((~equal).sum())


def _tensor(value: Any) -> Any:
    return torch.from_numpy(value) if isinstance(value, np.ndarray) else value
