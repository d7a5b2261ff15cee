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
from torch import Tensor, nn

from bittern import runtime
from bittern.export.capture import Captured
from bittern.export.deployed import Deployed
from bittern.export.errors import ExportError
from bittern.export.explain import Explanation
from bittern.export.verify import compare
from bittern.export.verify.blame import Build, first_fault
from bittern.export.verify.comparison import run_module
from bittern.export.verify.corpus import CONSTANT, KINDS, NORMAL, PIXELS, TINY, ZEROS, images, mixed
from bittern.export.verify.result import MARGIN
from bittern.export.verify.rounding import rounding_error

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
    calls = [mixed(size, captured.input_shape[1:]) for size in sizes]
    logits = _run(path, np.concatenate([call for call, _ in calls]), sizes).logits
    parts = np.split(logits, np.cumsum(sizes)[:-1])
    suspects = [
        (kind, size)
        for size, (batch, kinds), part in zip(sizes, calls, parts, strict=True)
        for kind in _unequal(captured.module, batch, kinds, part)
    ]
    for kind, size in suspects:
        _check_closely(path, deployed, kind, size)
    mixes = bool(suspects) and captured.max_batch is None and _mixes(captured)
    return [_MIXES.format(captured.input_shape[0])] if mixes else []


def _mixes(captured: Captured) -> bool:
    """Whether every image gets another result beside others than alone."""
    batch = torch.from_numpy(images(NORMAL, max(2, captured.input_shape[0]), captured.input_shape[1:]))
    try:
        together, alone = run_module(captured.module, batch), [run_module(captured.module, x[None]) for x in batch]
    except ExportError:
        return False  # it takes batches of one size only
    if any(x.shape[1:] != together.shape[1:] for x in alone):
        return True
    differences = (together - torch.cat(alone)).abs().flatten(1).amax(1)
    return bool((differences > MARGIN * together.abs().max()).all())


_MIXES = (
    "the network computes an image's result from others in its batch: the file computes {} at a time, filled up with "
    "zeros, so give it as many as it was trained to see together (--batch)"
)


def _sizes(captured: Captured) -> list[int]:
    """How many images each call of the engine gets."""
    largest = captured.input_shape[0]
    if captured.max_batch is None or captured.max_batch == 1:
        return [len(KINDS)] if largest == 1 else [1, max(largest, len(KINDS))]
    return [1, 2, max(largest, len(KINDS))]


def _run(path: Path, batch: np.ndarray, sizes: Sequence[int], *, trace: bool = False) -> runtime.Results:
    try:
        return runtime.run_in_process(path, batch, trace=trace, batches=sizes)
    except RuntimeError as error:
        raise _CannotRunError(str(error)) from error


def _unequal(module: nn.Module, batch: np.ndarray, kinds: Sequence[str], logits: np.ndarray) -> list[str]:
    """The kinds of images whose results are not the module's; the module computes at most two of each kind."""
    rows = sorted({*range(min(len(batch), len(KINDS))), *range(max(0, len(batch) - len(KINDS)), len(batch))})
    everything = list(dict.fromkeys(kinds))
    try:
        expected = run_module(module, torch.from_numpy(batch[rows])).numpy()
    except ExportError:
        return everything  # it takes no other batch than the one that it was captured for
    if expected.shape != (len(rows), *logits.shape[1:]):
        return everything
    found = []
    usual = max((_largest(expected[i]) for i, row in enumerate(rows) if kinds[row] == NORMAL), default=0.0)
    for i, row in enumerate(rows):
        if not np.isfinite(expected[i]).all():
            continue
        close = np.abs(logits[row] - expected[i]) <= MARGIN * max(_largest(expected[i]), usual)
        if not close.all():
            found.append(kinds[row])
    return list(dict.fromkeys(found))


def _largest(values: np.ndarray) -> float:
    return float(np.abs(values).max()) if values.size and np.isfinite(values).all() else 0.0


def _check_closely(path: Path, deployed: Deployed, kind: str, size: int) -> None:
    """Compares images of one kind with the module, value by value.

    Raises:
        _DifferenceError: they do not agree.
    """
    captured = deployed.captured
    count = captured.input_shape[0] if captured.max_batch is None else min(size, captured.max_batch)
    batch = images(kind, count, captured.input_shape[1:])
    results = _run(path, batch, [count], trace=True)
    expected = run_module(captured.module, torch.from_numpy(batch))
    if tuple(expected.shape) != results.logits.shape:
        raise _DifferenceError(kind, count, float("inf"), True)
    if not bool(expected.isfinite().all()):
        return
    if not captured.rounds:  # then kernels are not in question
        results = replace(results, calls=tuple(replace(call, inputs=()) for call in results.calls))
    found = compare(captured, deployed if captured.rounds else None, runtime.load(path), batch, results, chunk=count)
    # Nothing but rounding errors may be left of a result.
    may_cancel = kind in ILL_CONDITIONED and not found.passed
    error = rounding_error(captured, torch.from_numpy(batch)) if may_cancel else 0.0
    if not found.passed and not found.largest_logit_difference <= AMPLIFIED * error:
        difference = np.abs(results.logits - expected.numpy()).max()
        raise _DifferenceError(kind, count, float(difference), found.capture_margin > MARGIN)


def _check_int8(path: Path, captured: Captured, calibration: Tensor | None) -> None:
    shape = captured.input_shape[1:]
    given = images(NORMAL, _INT8_IMAGES, shape) if calibration is None else calibration[:_INT8_IMAGES].numpy()
    actual = _run(path, given, [len(given)]).logits
    try:
        expected = run_module(captured.module, torch.from_numpy(given)).numpy()
    except ExportError:
        return
    with np.errstate(all="ignore"):
        error, length = np.linalg.norm(actual - expected), np.linalg.norm(expected)
    if np.isfinite(length) and not error <= 2 * length:
        raise _DifferenceError("calibration", len(given), float(np.abs(actual - expected).max()), False)


def _example(captured: Captured) -> np.ndarray:
    return images(NORMAL, captured.input_shape[0], captured.input_shape[1:])


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
