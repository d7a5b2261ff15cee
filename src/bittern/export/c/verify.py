"""Proof that a network in C computes what its module does, node by node."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from bittern.export.c.lower import lower
from bittern.export.c.program import CNetwork
from bittern.export.c.reference import Reference
from bittern.export.c.run import CRun, find_compiler, run
from bittern.export.capture import capture, channels_last
from bittern.export.deployed import Deployed
from bittern.export.errors import ExportError
from bittern.export.graph import Provenance, operator_name
from bittern.export.rewrite import rewrite
from bittern.export.verify.comparison import Comparison, ReferenceCall
from bittern.export.verify.corpus import KINDS, images
from bittern.export.verify.result import LayerCheck, Verification, Where
from bittern.export.verify.rounding import rounding_error
from bittern.export.verify.run_once import AMPLIFIED, ILL_CONDITIONED
from bittern.ops import layout

_REFERENCE = "_reference.h"


def verify_folder(module: nn.Module, folder: Path, inputs: np.ndarray) -> Verification:
    """Compiles the network in ``folder`` and compares it with ``module``, from which it was exported.

    Every tensor that it computes must equal the reference's, given what the network itself gave before; the results,
    and all that the module computes too, lie within rounding errors of the module's (`bittern.export.verify`).

    Args:
        inputs: float32 ``[M, ...]``, preprocessed.

    Raises:
        ExportError: the folder holds no network, or that of another model; there is no compiler, or it refuses.
    """
    name = network_name(folder)
    batch = _batch(folder, name, inputs[0].size)
    captured = capture(module, torch.zeros(batch, *inputs.shape[1:]))
    deployed = rewrite(captured)
    network = lower(deployed)
    comparison = _Comparison(deployed)
    parts = [inputs[start : start + batch] for start in range(0, len(inputs), batch)]
    batches = [comparison.of_model.filled([part]) for part in parts]
    for part, found in zip(parts, run(folder, name, network, deployed, batches), strict=True):
        comparison.add(part, found)
    return comparison.result()


def check_folder(folder: Path, name: str, network: CNetwork, deployed: Deployed) -> None:
    """Compiles the network in ``folder`` and runs it on images of all kinds.

    Raises:
        ExportError: it does not compile, or computes something else than its reference or the module. The message names
            the operator from which on.
    """
    captured = deployed.captured
    batches = {kind: images(kind, captured.input_shape[0], captured.input_shape[1:]) for kind in KINDS}
    runs = run(folder, name, network, deployed, [[torch.from_numpy(x)] for x in batches.values()])
    for (kind, x), found in zip(batches.items(), runs, strict=True):
        comparison = _Comparison(deployed)
        comparison.add(x, found)
        result = comparison.result()
        fault = next((layer for layer in result.layers if layer.reference_differences), None)
        if fault is not None:
            where = f"{fault.operator} in {fault.path or 'the model itself'}"
            raise ExportError(f"compiled here, the network does not compute what its reference does, from {where} on")
        expected = torch.cat(comparison.of_model.outputs[0].expected)
        if result.passed or not bool(expected.isfinite().all()):
            continue
        # Nothing but rounding errors may be left of a result.
        error = rounding_error(captured, [torch.from_numpy(x)]) if kind in ILL_CONDITIONED else 0.0
        if not result.largest_logit_difference <= AMPLIFIED * error:
            raise ExportError(
                f"the network in C does not compute what the module does: results for a {kind} image differ by up to "
                f"{result.largest_logit_difference:.4g}"
            )


def network_name(folder: Path) -> str:
    """The name of the network whose files are in ``folder``; ExportError if there is not exactly one."""
    names = [path.name.removesuffix(_REFERENCE) for path in folder.glob(f"*{_REFERENCE}")]
    if len(names) != 1 or not (folder / f"{names[0]}.c").is_file():
        raise ExportError(f"{folder} holds no network in C: give a folder that `bittern export --target c` wrote")
    return names[0]


def _batch(folder: Path, name: str, size: int) -> int:
    """How many images the network computes at a time, each of ``size`` numbers."""
    found = re.search(rf"^#define {name.upper()}_\w+_COUNT (\d+)$", (folder / f"{name}.h").read_text(), re.MULTILINE)
    numbers = int(found.group(1)) if found else 0
    if numbers == 0 or numbers % size:
        raise ExportError(f"{folder} takes {numbers} numbers, which are no images of {size}: it is another model's")
    return numbers // size


@dataclass
class _Row:
    """Differences of one tensor from its reference, over all images."""

    values: int = 0
    differences: int = 0
    largest: float | None = None
    where: Where | None = None
    bits: bool = False


class _Trace(Reference):
    """Computes the reference of each node from what the network in C gave before it."""

    def __init__(self, deployed: Deployed, found: CRun, rows: dict[tuple[str, int], _Row], images: range) -> None:
        super().__init__(deployed)
        self._found, self._rows, self._images = found, rows, images

    def run_node(self, n: fx.Node) -> Any:
        expected = super().run_node(n)
        if n.name not in self._found.values:
            return expected
        actual = self._found.values[n.name]
        references = expected if isinstance(expected, (tuple, list)) else (expected,)
        for index, pair in enumerate(zip(actual, references, strict=True)):
            self._compare(self._rows.setdefault((n.name, index), _Row()), *pair)
        self.values[n.name] = actual
        return actual if isinstance(expected, (tuple, list)) else actual[0]

    def _compare(self, row: _Row, actual: Tensor, expected: Tensor) -> None:
        if actual.dtype == torch.int32:
            row.bits = True
            words = actual ^ expected
            different = layout.unpack_bits(words, words.shape[-1] * layout.WORD_BITS)
        else:
            different = ~((actual == expected) | (actual.isnan() & expected.isnan()))
            errors = (actual - expected)[different].abs().nan_to_num(nan=torch.inf)
            if errors.numel():
                row.largest = max(row.largest or 0.0, errors.max().item())
            different = different.movedim(1, -1) if different.dim() == 4 else different
        row.values += different.numel()
        row.differences += int(different.sum())
        if row.where is None and bool(different.any()):
            image, *pixel, channel = different.nonzero()[0].tolist() if different.dim() > 1 else (0, 0)
            row.where = Where(self._images.start + image, channel, tuple(pixel))


@dataclass
class _Comparison:
    """Adds up differences from references, and from the module."""

    deployed: Deployed
    rows: dict[tuple[str, int], _Row] = field(default_factory=dict)

    def __post_init__(self) -> None:
        captured = self.deployed.captured
        self.of_model = Comparison(captured, self.deployed.operators, captured.batch)

    def add(self, inputs: np.ndarray, found: CRun) -> None:
        size, first = len(inputs), self.of_model.images
        trace = _Trace(self.deployed, found, self.rows, range(first, first + size))
        trace(*map(channels_last, self.of_model.filled([inputs])))
        calls = [
            ReferenceCall(
                operator_name(node).removeprefix("bittern::"),
                tuple(value[:size].numpy() for value in trace.values[node.name]),
            )
            for node in self._nodes(bittern=True)
        ]
        self.of_model.add([inputs], [found.outputs[0][:size].numpy()], calls)

    def _nodes(self, *, bittern: bool = False) -> list[fx.Node]:
        nodes = self.deployed.graph.calls()
        return [node for node in nodes if not bittern or operator_name(node).startswith("bittern::")]

    def result(self) -> Verification:
        compiler = find_compiler() or "none"
        found = self.of_model.result(f"C99, {Path(compiler).name}")
        return replace(found, layers=tuple(self._layers(found.layers)))

    def _layers(self, of_model: Iterable[LayerCheck]) -> Iterable[LayerCheck]:
        known = iter(of_model)
        for node in self._nodes():
            name = operator_name(node)
            for index in count():
                row = self.rows.get((node.name, index))
                if row is None:
                    break
                layer = LayerCheck(Provenance.of(node).path, name, "bits" if row.bits else "float", row.values)
                if name.startswith("bittern::"):
                    layer = next(known)
                yield replace(
                    layer,
                    reference_differences=row.differences,
                    reference_where=row.where,
                    largest_reference_difference=row.largest,
                )
