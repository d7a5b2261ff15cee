"""Running a model file in a child process, which never imports torch.

:func:`run_in_process` starts ``python -m bittern.runtime MODEL.pte INPUT.npy OUTPUT.npz``, under any instruction set,
and reads the result. OUTPUT.npz holds ``logits`` and ``isa``; with ``--trace`` also, for the i-th Bittern operator, the
values that depend on the images: inputs as ``i.in.POSITION``, outputs as ``i.out.POSITION``.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bittern.runtime import _engine
from bittern.runtime.engine import Engine, FloatArray, OperatorCall, join, load


@dataclass(frozen=True)
class Results:
    """``logits`` of all images, the operator calls (none without trace) and the instruction set."""

    logits: FloatArray
    calls: tuple[OperatorCall, ...]
    isa: str


def run_in_process(
    path: str | os.PathLike[str],
    images: npt.NDArray[np.float32],
    *,
    isa: str | None = None,
    trace: bool = False,
    threads: int = 1,
    batches: Sequence[int] | None = None,
    seconds: float | None = None,
) -> Results:
    """Runs ``images`` through the file at ``path`` in a new process, with ``BITTERN_ISA`` set to ``isa`` if given.

    Args:
        batches: how many images each call of the engine gets, in turn, the sum of which is the number of images. None:
            all in one call.
        seconds: after which the process is killed; None waits for it.

    Raises:
        RuntimeError: the process failed, crashed or took too long; the message is its error output.
    """
    environment = {**os.environ, **({} if isa is None else {"BITTERN_ISA": isa})}
    with tempfile.TemporaryDirectory() as folder:
        inputs, outputs = Path(folder, "images.npy"), Path(folder, "results.npz")
        np.save(inputs, images)
        command = [sys.executable, "-m", "bittern.runtime", "--threads", str(threads), *(["--trace"] if trace else [])]
        command += [] if batches is None else ["--batches", ",".join(map(str, batches))]
        command += ["--", os.fspath(path), str(inputs), str(outputs)]  # a file's name may begin with a dash
        try:
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, check=False, timeout=seconds
            )
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"the engine's process did not end within {seconds:g} s") from None
        if done.returncode != 0:
            raise RuntimeError(done.stderr.strip() or ended(done.returncode))
        with np.load(outputs, allow_pickle=False) as arrays:
            calls = _calls(path, images, arrays) if trace else ()
            return Results(arrays["logits"], calls, str(arrays["isa"]))


def ended(status: int) -> str:
    """How a process ended that did not say why."""
    how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
    return f"the engine's process {how}"


def _calls(
    path: str | os.PathLike[str], images: FloatArray, arrays: "np.lib.npyio.NpzFile"
) -> tuple[OperatorCall, ...]:
    """The calls that the process wrote; constants, which it leaves out, are taken from a run of one image here."""
    calls = []
    engine = load(path)
    for i, call in enumerate(engine.trace(images[:1])):
        inputs = tuple(arrays.get(f"{i}.in.{position}", value) for position, value in enumerate(call.inputs))
        outputs = tuple(arrays[f"{i}.out.{position}"] for position in range(len(call.outputs)))
        calls.append(OperatorCall(call.name, inputs, outputs))
    return tuple(calls)


def _trace(engine: Engine, parts: Sequence[FloatArray]) -> list[OperatorCall]:
    traces = [engine.trace(part) for part in parts]
    operators = engine.metadata.operators
    return [join(calls, operator.activations) for operator, *calls in zip(operators, *traces, strict=True)]


def main(arguments: list[str] | None = None) -> int:
    """The child process; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m bittern.runtime", description="Run a model file on images.")
    parser.add_argument("model", type=Path, help="the model file (.pte)")
    parser.add_argument("input", type=Path, help="float32 images [N, C, H, W] (.npy)")
    parser.add_argument("output", type=Path, help="the results to write (.npz)")
    parser.add_argument("--trace", action="store_true", help="also write the inputs and outputs of each operator")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batches", help="numbers of images, one for each call, with commas")
    options = parser.parse_args(arguments)
    try:
        engine = load(options.model, threads=options.threads)
        images = np.load(options.input, allow_pickle=False)
        ends = np.cumsum([int(count) for count in (options.batches or str(len(images))).split(",")])
        parts = np.split(images, ends[:-1])
        logits = np.concatenate([engine(part) for part in parts])
        results: dict[str, Any] = {"logits": logits, "isa": np.array(_engine.isa())}
        if options.trace:
            for i, (call, operator) in enumerate(zip(_trace(engine, parts), engine.metadata.operators, strict=True)):
                for position in operator.activations:
                    value = call.inputs[position]
                    if isinstance(value, np.ndarray):
                        results[f"{i}.in.{position}"] = value
                results |= {f"{i}.out.{position}": value for position, value in enumerate(call.outputs)}
        if "torch" in sys.modules:
            raise RuntimeError("torch was imported in the engine's process")
        np.savez(options.output, **results)
    except (ValueError, TypeError, OSError, RuntimeError) as error:
        print(f"bittern.runtime: {error}", file=sys.stderr)
        return 1
    return 0
