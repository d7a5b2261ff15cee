"""Running a model file in a child process, which never imports torch.

:func:`run_in_process` starts ``python -m bittern.runtime MODEL.pte INPUTS.npz RESULTS.npz``, under any instruction set,
and reads the results. INPUTS.npz holds the inputs as ``0``, ``1`` ... or ``name.NAME``, RESULTS.npz the outputs as
``output.0`` ... and ``isa``; with ``--trace`` also, for the i-th Bittern operator, the values that depend on the
images: inputs as ``i.in.POSITION``, outputs as ``i.out.POSITION``.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bittern.runtime import _engine
from bittern.runtime.arguments import Array, bind, count_of, joined, rows_of
from bittern.runtime.engine import Engine, OperatorCall, join, load

Inputs = Array | Sequence[Array] | Mapping[str, Array]
"""One array, several in the order of the inputs, or by their names."""

_NAME, _OUTPUT = "name.", "output."
"""Before the name of an input, and the number of an output, in the files between the processes."""


@dataclass(frozen=True)
class Results:
    """``outputs`` for all images, the operator calls (none without trace) and the instruction set.

    ``outputs`` are in the order of the signature's, whose `nest` puts them into the form that ``engine(...)`` gives.
    """

    outputs: tuple[Array, ...]
    calls: tuple[OperatorCall, ...]
    isa: str

    @property
    def logits(self) -> Array:
        """The only output, or the first."""
        return self.outputs[0]


def run_in_process(
    path: str | os.PathLike[str],
    inputs: Inputs,
    *,
    isa: str | None = None,
    trace: bool = False,
    threads: int = 1,
    batches: Sequence[int] | None = None,
    seconds: float | None = None,
) -> Results:
    """Runs ``inputs`` through the file at ``path`` in a new process, with ``BITTERN_ISA`` set to ``isa`` if given.

    Args:
        inputs: as an `Engine` takes them: an array, a tuple of arrays, or a dict of arrays by the names of the inputs.
        batches: how many images each call of the engine gets, in turn, the sum of which is the number of images. None:
            all in one call.
        seconds: after which the process is killed; None waits for it.

    Raises:
        RuntimeError: the process failed, crashed or took too long; the message is its error output.
    """
    environment = {**os.environ, **({} if isa is None else {"BITTERN_ISA": isa})}
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "inputs.npz"), Path(folder, "results.npz")
        np.savez(source, **_labelled(inputs))
        command = [sys.executable, "-m", "bittern.runtime", "--threads", str(threads), *(["--trace"] if trace else [])]
        command += [] if batches is None else ["--batches", ",".join(map(str, batches))]
        command += ["--", os.fspath(path), str(source), str(target)]  # a file's name may begin with a dash
        try:
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, check=False, timeout=seconds
            )
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"the engine's process did not end within {seconds:g} s") from None
        if done.returncode != 0:
            raise RuntimeError(done.stderr.strip() or ended(done.returncode))
        with np.load(target, allow_pickle=False) as results:
            count = sum(name.startswith(_OUTPUT) for name in results)
            outputs = tuple(results[f"{_OUTPUT}{i}"] for i in range(count))
            calls = _calls(path, inputs, results) if trace else ()
            return Results(outputs, calls, str(results["isa"]))


def ended(status: int) -> str:
    """How a process ended that did not say why."""
    how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
    return f"the engine's process {how}"


def _labelled(inputs: Inputs) -> dict[str, Any]:
    """The inputs with the labels under which they are handed over."""
    if isinstance(inputs, Mapping):
        return {f"{_NAME}{name}": array for name, array in inputs.items()}
    return {str(i): array for i, array in enumerate(inputs if isinstance(inputs, (tuple, list)) else (inputs,))}


def _bound(engine: Engine, labelled: Mapping[str, Array]) -> tuple[Array, ...]:
    """The inputs in the engine's order, checked as in a call."""
    named = {label.removeprefix(_NAME): labelled[label] for label in labelled if label.startswith(_NAME)}
    return bind(engine.signature, [labelled[str(i)] for i in range(len(labelled) - len(named))], named)


def _calls(path: str | os.PathLike[str], inputs: Inputs, results: "np.lib.npyio.NpzFile") -> tuple[OperatorCall, ...]:
    """The calls that the process wrote; constants, which it leaves out, are taken from a run of one image here."""
    calls = []
    engine = load(path)
    for i, call in enumerate(engine.trace(*rows_of(engine.signature, _bound(engine, _labelled(inputs)), slice(1)))):
        read = tuple(results.get(f"{i}.in.{position}", value) for position, value in enumerate(call.inputs))
        written = tuple(results[f"{i}.out.{position}"] for position in range(len(call.outputs)))
        calls.append(OperatorCall(call.name, read, written))
    return tuple(calls)


def _trace(engine: Engine, parts: Sequence[Sequence[Array]]) -> list[OperatorCall]:
    traces = [engine.trace(*part) for part in parts]
    operators = engine.metadata.operators
    return [join(calls, operator.activations) for operator, *calls in zip(operators, *traces, strict=True)]


def main(arguments: list[str] | None = None) -> int:
    """The child process; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m bittern.runtime", description="Run a model file on arrays.")
    parser.add_argument("model", type=Path, help="the model file (.pte)")
    parser.add_argument("input", type=Path, help="the inputs (.npz)")
    parser.add_argument("output", type=Path, help="the results to write (.npz)")
    parser.add_argument("--trace", action="store_true", help="also write the inputs and outputs of each operator")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batches", help="numbers of images, one for each call, with commas")
    options = parser.parse_args(arguments)
    try:
        engine = load(options.model, threads=options.threads)
        signature = engine.signature
        with np.load(options.input, allow_pickle=False) as loaded:
            arrays = _bound(engine, loaded)
        counts = [int(count) for count in (options.batches or str(count_of(signature, arrays))).split(",")]
        ends = np.cumsum(counts)
        parts = [rows_of(signature, arrays, slice(end - n, end)) for n, end in zip(counts, ends, strict=True)]
        outputs = [(signature.flatten(engine(*part)), count) for part, count in zip(parts, counts, strict=True)]
        results: dict[str, Any] = {"isa": np.array(_engine.isa())}
        results |= {f"{_OUTPUT}{i}": array for i, array in enumerate(joined(signature, outputs))}
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
