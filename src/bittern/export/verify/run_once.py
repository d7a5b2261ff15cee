"""Does a program run, and does it compute what the module does? Asked of every file before it is written.

The program runs once, in a process of its own, on images of all kinds (`corpus`), and its results are compared with
those of the module itself: torch may have captured something else than the module computes, a pass of the exporter may
be wrong, XNNPACK may ignore an argument, and ExecuTorch's own kernels lack operators and orders of memory. Only where a
result differs are the values in between compared, as `verify` does, to tell a turned bit from an error.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bittern import runtime
from bittern.export.capture import Captured
from bittern.export.deployed import Deployed
from bittern.export.errors import ExportError
from bittern.export.explain import Explanation
from bittern.export.verify import compare
from bittern.export.verify.blame import Build, first_fault
from bittern.export.verify.comparison import run_module
from bittern.export.verify.corpus import CONSTANT, NORMAL, PIXELS, TINY, ZEROS
from bittern.export.verify.inputs import Arrays, call, kinds_of, mixed, tensors
from bittern.export.verify.result import MARGIN
from bittern.export.verify.rounding import rounding_error
from bittern.runtime.arguments import rows_of
from bittern.runtime.signature import TensorSpec

_MAX_CHARACTERS = 300  # of the engine's message
AMPLIFIED = 4
"""How much further rounding may move the engine's result than it moves the module's, in which it occurs less often."""
ILL_CONDITIONED = (CONSTANT, ZEROS, PIXELS, TINY)
"""Kinds of images on which networks may cancel everything but rounding errors, as where they divide by a variance."""
_INT8_IMAGES = 8


class _CannotRunError(Exception):
    """The engine's process failed; the message is its own."""


@dataclass(eq=False)
class _DifferenceError(Exception):
    """What the engine gives for ``count`` images of a kind is not what the module gives, by up to ``largest``."""

    kind: str
    count: int
    largest: float
    captured: bool
    """Whether the captured graph gives something else already."""


def check_program(
    data: bytes, deployed: Deployed, explanation: Explanation, build: Build, calibration: Tensor | None = None
) -> list[str]:
    """Runs the file ``data``, if the engine is built here, and compares it with the module; gives warnings.

    Batches of 1 and of the example's size, of a dynamic batch 1, 2 and the largest. Of int8 files, whose results are
    rounded, only gross errors on calibration images are found.

    Args:
        build: makes files of parts of the program, in which to look for the operator at fault.

    Raises:
        ExportError: it does not run, or computes something else; the message names the operator and its module.
    """
    captured = deployed.captured
    try:
        runtime.supported_isas()
    except ImportError:
        return []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.pte")
        path.write_bytes(data)
        try:
            if deployed.int8:
                _check_int8(path, captured, calibration)
                return []
            return _check(path, deployed)
        except _CannotRunError as failed:
            message = str(failed).replace(str(path), "the file")[:_MAX_CHARACTERS]
            where = _unable(explanation, message) or first_fault(deployed, build, _example(captured)) or "the program"
            raise ExportError(f"the engine cannot run {where}. It said: {message}") from failed
        except _DifferenceError as found:
            raise ExportError(_told(found, deployed, build)) from None


def _check(path: Path, deployed: Deployed) -> list[str]:
    captured = deployed.captured
    sizes = _sizes(captured)
    calls = [mixed(captured, size) for size in sizes]
    whole = _joined(captured.signature.inputs, [inputs for inputs, _ in calls])
    outputs, ends = _run(path, whole, sizes).outputs, np.cumsum(sizes)
    suspects = [
        (kind, size)
        for size, end, (inputs, kinds) in zip(sizes, ends, calls, strict=True)
        for kind in _unequal(captured, inputs, kinds, _rows(captured.signature.outputs, outputs, end - size, end))
    ]
    for kind, size in suspects:
        _check_closely(path, deployed, kind, size)
    mixes = bool(suspects) and captured.max_batch is None and _mixes(captured)
    return [_MIXES.format(captured.batch)] if mixes else []


def _mixes(captured: Captured) -> bool:
    """Whether every image gets another result beside others than alone."""
    signature, count = captured.signature, max(2, captured.batch)
    batch = tensors(call(captured, NORMAL, count))
    places = [place for place, spec in enumerate(signature.outputs) if spec.batched]
    try:
        together = run_module(captured.module, batch)
        alone = [run_module(captured.module, rows_of(signature, batch, slice(i, i + 1))) for i in range(count)]
    except ExportError:
        return False  # it takes batches of one size only
    if any(x[place].shape[1:] != together[place].shape[1:] for x in alone for place in places):
        return True
    for place in places:
        joined, of_each = together[place].double(), torch.cat([x[place] for x in alone]).double()
        differences = (joined - of_each).abs().flatten(1).amax(1) if joined.dim() > 1 else (joined - of_each).abs()
        if bool((differences > MARGIN * joined.abs().max()).all()):
            return True
    return False


_MIXES = (
    "the network computes an image's result from others in its batch: the file computes {} at a time, filled up with "
    "zeros, so give it as many as it was trained to see together (--batch)"
)


def _sizes(captured: Captured) -> list[int]:
    """How many images each call of the engine gets."""
    largest, kinds = captured.batch, len(kinds_of(captured))
    if captured.max_batch is None or captured.max_batch == 1:
        return [kinds] if largest == 1 else [1, max(largest, kinds)]
    return [1, 2, max(largest, kinds)]


def _joined(specs: Sequence[TensorSpec], calls: Sequence[Arrays]) -> Arrays:
    """One call in place of several."""
    return tuple(np.concatenate(x) if s.batched else x[0] for s, x in zip(specs, zip(*calls, strict=True), strict=True))


def _rows(specs: Sequence[TensorSpec], arrays: Arrays, start: int, end: int) -> Arrays:
    return tuple(x[start:end] if s.batched else x for s, x in zip(specs, arrays, strict=True))


def _run(path: Path, inputs: Arrays, sizes: Sequence[int], *, trace: bool = False) -> runtime.Results:
    try:
        return runtime.run_in_process(path, inputs, trace=trace, batches=sizes)
    except RuntimeError as error:
        raise _CannotRunError(str(error)) from error


def _unequal(captured: Captured, inputs: Arrays, kinds: Sequence[str], outputs: Arrays) -> list[str]:
    """The kinds of images whose results are not the module's; the module computes at most two of each kind."""
    signature, number = captured.signature, len(kinds_of(captured))
    rows = sorted({*range(min(len(kinds), number)), *range(max(0, len(kinds) - number), len(kinds))})
    everything = list(dict.fromkeys(kinds))
    some = rows_of(signature, inputs, rows)
    try:
        results = [x.numpy() for x in run_module(captured.module, tensors(some))]
    except ExportError:
        return everything  # it takes no other batch than the one that it was captured for
    found: list[str] = []
    for spec, expected, output in zip(signature.outputs, results, outputs, strict=True):
        actual = output[rows] if spec.batched else output
        if expected.shape != actual.shape:
            return everything
        if not spec.batched:
            found += [] if _close(actual, expected, _largest(expected)) else everything
            continue
        usual = max((_largest(expected[i]) for i, row in enumerate(rows) if kinds[row] == NORMAL), default=0.0)
        for i, row in enumerate(rows):
            if not _close(actual[i], expected[i], max(_largest(expected[i]), usual)):
                found.append(kinds[row])
    return list(dict.fromkeys(found))


def _close(actual: np.ndarray, expected: np.ndarray, scale: float) -> bool:
    """Whether results agree; those that are not finite in the module say nothing."""
    if expected.dtype != np.float32:
        return bool(np.array_equal(actual, expected))
    return not np.isfinite(expected).all() or bool((np.abs(actual - expected) <= MARGIN * scale).all())


def _largest(values: np.ndarray) -> float:
    return float(np.abs(values).max()) if values.size and np.isfinite(values).all() else 0.0


def _check_closely(path: Path, deployed: Deployed, kind: str, size: int) -> None:
    """Compares images of one kind with the module, value by value.

    Raises:
        _DifferenceError: they do not agree.
    """
    captured = deployed.captured
    count = captured.batch if captured.max_batch is None else min(size, captured.max_batch)
    inputs = call(captured, kind, count)
    results = _run(path, inputs, [count], trace=True)
    expected = run_module(captured.module, tensors(inputs))
    if [tuple(x.shape) for x in expected] != [x.shape for x in results.outputs]:
        raise _DifferenceError(kind, count, float("inf"), True)
    if not all(bool(x.isfinite().all()) for x in expected):
        return
    if not captured.rounds:  # then kernels are not in question
        results = replace(results, calls=tuple(replace(each, inputs=()) for each in results.calls))
    found = compare(captured, deployed if captured.rounds else None, runtime.load(path), inputs, results, chunk=count)
    # Nothing but rounding errors may be left of a result.
    may_cancel = kind in ILL_CONDITIONED and not found.passed
    error = rounding_error(captured, tensors(inputs)) if may_cancel else 0.0
    if not found.passed and not found.largest_logit_difference <= AMPLIFIED * error:
        differences = (
            np.abs(x.astype(np.float64) - y.numpy()).max() for x, y in zip(results.outputs, expected, strict=True)
        )
        raise _DifferenceError(kind, count, float(max(differences)), found.capture_margin > MARGIN)


def _check_int8(path: Path, captured: Captured, calibration: Tensor | None) -> None:
    images = call(captured, NORMAL, _INT8_IMAGES) if calibration is None else (calibration[:_INT8_IMAGES].numpy(),)
    count = len(images[0])
    outputs = _run(path, images, [count]).outputs
    try:
        results = [x.numpy() for x in run_module(captured.module, tensors(images))]
    except ExportError:
        return
    for spec, actual, expected in zip(captured.signature.outputs, outputs, results, strict=True):
        if spec.dtype != "float32":
            continue
        with np.errstate(all="ignore"):
            error, length = np.linalg.norm(actual - expected), np.linalg.norm(expected)
        if np.isfinite(length) and not error <= 2 * length:
            raise _DifferenceError("calibration", count, float(np.abs(actual - expected).max()), False)


def _example(captured: Captured) -> Arrays:
    return call(captured, NORMAL, captured.batch)


def _unable(explanation: Explanation, message: str) -> str:
    """The fallbacks that the engine's message speaks of, or all of them; empty if there are none."""
    rows = [row for row in explanation.fallbacks if row.kernel in message] or explanation.fallbacks
    return ", ".join(dict.fromkeys(f"{row.operator} in {row.path or 'the model itself'}" for row in rows[:5]))


def _told(found: _DifferenceError, deployed: Deployed, build: Build) -> str:
    captured = deployed.captured
    name, what = type(captured.module).__name__, f"{found.count} {found.kind} image{'s' * (found.count > 1)}"
    how = f"by up to {found.largest:.4g}" if np.isfinite(found.largest) else "in shape or by infinity"
    if found.captured and found.count == 1 and captured.max_batch is not None:
        return (
            f"{name} computes something else for a single image than for several ({how}), which torch.export does not "
            "see: it takes every dynamic batch for larger than 1. Decide by settings, not by x.shape[0]"
        )
    if found.captured:
        return (
            f"torch.export captured another computation than {name}'s: results for {what} differ {how}. "
            "Does it keep something between calls, or depend on more than its input?"
        )
    where = first_fault(deployed, build, _example(captured))
    culprit = f", from {where} on" if where else ""
    return (
        f"the engine does not compute what the module does: results for {what} differ {how}{culprit}. "
        "If that is rounding alone, export with check=False (--no-check)"
    )
