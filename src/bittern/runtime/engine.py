"""Running a model file: :func:`load` returns an :class:`Engine`, a function of images."""

import os
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from bittern.runtime import _engine, container
from bittern.runtime.agreement import contradiction, own_calls
from bittern.runtime.arguments import Array, bind, joined, slices, zeros
from bittern.runtime.errors import ModelFileError
from bittern.runtime.metadata import METADATA_METHOD, Metadata
from bittern.runtime.program import calls as program_calls
from bittern.runtime.tap import TracedCall, tapped
from bittern.runtime.weights import BinaryWeights, weights_of

Result = TypeVar("Result")

MAX_THREADS = 1024
"""Per engine: the cores of the largest machines; more threads would only wait for each other."""


@dataclass(frozen=True)
class NodeTime:
    """One node of the program: its operator or delegate, and its time in microseconds in every run.

    ``kernel``: the native kernel of a convolution or linear layer, such as ``conv2d_x86_avx2``.
    """

    name: str
    microseconds: tuple[float, ...]
    kernel: str | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.microseconds)


@dataclass(frozen=True)
class OperatorCall:
    """One call of a Bittern operator: arguments in the order of its schema, tensors as numpy copies."""

    name: str
    inputs: tuple[object, ...]
    outputs: tuple[npt.NDArray[np.generic], ...]


def load(path: str | os.PathLike[str], *, threads: int = 1) -> "Engine":
    """Loads the model file at ``path``.

    Args:
        path: a ``.pte`` file that `bittern.export.to_pte` wrote.
        threads: of one call. Engines on one thread are independent of each other; those on more share ExecuTorch's
            only thread pool, take turns, and reload when another engine has resized it.

    Raises:
        ModelFileError: the file is damaged, newer than this version, or cannot run on this machine.
        OSError: the file cannot be read.
        ValueError: ``threads`` is not from 1 to `MAX_THREADS`, or ``BITTERN_ISA`` names a set that this CPU lacks.
    """
    return Engine(path, threads=threads)


class Engine:
    """A loaded model: ``engine(images)`` is the network's output for float32 images ``[N, C, H, W]``.

    Networks of other inputs are called as their modules are, ``engine(ids, mask)`` or ``engine(ids=ids, mask=mask)``,
    and give tuples, lists or dicts as these do: `signature` says which.

    Calls from several Python threads take turns; the interpreter lock is released while the network runs.
    """

    def __init__(self, path: str | os.PathLike[str], *, threads: int = 1) -> None:
        if not isinstance(threads, int) or not 1 <= threads <= MAX_THREADS:
            raise ValueError(f"threads must be an integer from 1 to {MAX_THREADS}, got {threads!r}")
        _engine.isa()  # reports an unusable BITTERN_ISA as such, not as a file that does not load
        self.path = Path(path)
        self.threads = threads
        program = container.read_program(self.path)
        try:
            self._engine = _engine.Engine(program, threads)
            text = self._engine.constant_string(METADATA_METHOD)
        except _engine.EngineError as error:
            raise ModelFileError(f"{self.path} cannot be loaded: {error}") from error
        except UnicodeDecodeError as error:
            raise ModelFileError(f"{self.path}: the metadata is not text: {error}") from error
        if text is None:
            raise ModelFileError(f"{self.path} has no {METADATA_METHOD} method: export it with bittern.export.to_pte")
        try:
            self.metadata = Metadata.from_json(text)
        except ModelFileError as error:
            raise ModelFileError(f"{self.path}: {error}") from error
        self.signature = self.metadata.signature
        """What the network takes and gives."""
        self._orders = [order for _, order, _ in self._engine.inputs]
        calls = program_calls(program)
        self._own_calls = own_calls(calls)
        reason = contradiction(self.metadata, inputs=self._engine.inputs, outputs=self._engine.outputs, calls=calls)
        if reason is not None:
            raise ModelFileError(f"{self.path}: {reason}; export it again")

    def __repr__(self) -> str:
        return f"Engine({str(self.path)!r}, model={self.metadata.model!r}, threads={self.threads})"

    def __call__(self, *inputs: Array, tap: Sequence[str] | None = None, **named: Array) -> Any:
        """The network's output for a batch: one array, or as many as the module gives, in its tuples, lists and dicts.

        The program computes a fixed number of images at a time: more run in slices, the last one padded with zeros. A
        program with a dynamic batch takes up to that number without padding. No image's result depends on the others,
        unless the network itself mixes images of a batch; then it depends on the slices. Inputs that are not batched
        are the same for all slices. Outputs that depend on none that is batched are computed once.

        Args:
            inputs: arrays of the dtypes and shapes in `signature`, such as float32 ``[N, C, H, W]``, N at least 1,
                C, H and W as exported, any strides. NaN is valid: it binarizes to +1, or to -1 behind a decreasing
                step such as a negative BatchNorm gamma (docs/conventions.md, also for infinities).
            tap: module paths of Bittern's operators (``metadata.operators``). The result is then the output and a
                dictionary of what left these: float32, or int8 of -1 and +1 where only bits leave the operator. It
                includes the steps that were folded into the operator. The inputs run twice.
            named: likewise, by the names of the inputs.

        Returns:
            Arrays ``[N, ...]``, copies. A dataclass comes back as a dict of its fields.

        Raises:
            TypeError: not a numpy array, or a missing or unknown input.
            ValueError: another dtype or shape, an empty batch, inputs of different batches, or a path of ``tap`` at
                which no operator runs.
            ModelFileError: the program fails.
        """
        results = [(self._run(self._engine.run, batch), count) for batch, count in self._batches(inputs, named)]
        outputs = self.signature.nest(joined(self.signature, results))
        if tap is None:
            return outputs
        traces = zip(self.metadata.operators, self.trace(*inputs, **named), self._own_calls, strict=True)
        return outputs, tapped([TracedCall(op, t.inputs, t.outputs, own.arguments) for op, t, own in traces], tap)

    def weights(self) -> dict[str, BinaryWeights]:
        """The binary weights of the packed layers by module path, and the scales that the file keeps apart.

        A module that runs as several packed layers that differ (weights of three values, a transposed convolution) has
        an entry "path#i" for each, in the order in which they run. To see the constants, it runs an image of zeros.
        """
        return weights_of(self.metadata.operators, [call.inputs for call in self.trace(*zeros(self.signature))])

    def profile(self, *inputs: Array, runs: int = 20, **named: Array) -> list[NodeTime]:
        """Times every node of the program on the first batch of the inputs, in the order of execution.

        Operators are listed by their names, delegates by their backend's. The first run is not counted. Recording costs
        a few tenths of a microsecond per node.
        """
        if runs < 1:
            raise ValueError(f"runs must be at least 1, got {runs}")
        batch, _ = next(self._batches(inputs, named))
        backends = self._engine.backends()
        names: dict[tuple[int, int], str] = {}
        times: dict[tuple[int, int], list[float]] = {}
        kernels: dict[tuple[int, int], str] = {}
        for run in range(runs + 1):
            for event in self._run(self._engine.profile, batch):
                key = (event.chain, event.instruction)
                if event.name in _INSTRUCTIONS:
                    names.setdefault(key, event.name)
                    if run > 0:
                        times.setdefault(key, []).append((event.end_ns - event.start_ns) / 1e3)
                elif event.name.startswith(_KERNEL):
                    kernels[key] = event.name.removeprefix(_KERNEL)
                elif names.get(key) == "OPERATOR_CALL":
                    names[key] = event.name.removeprefix("native_call_").removesuffix(".out")
        delegates = iter(backends)
        labels = {
            key: next(delegates, name) if name == "DELEGATE_CALL" else name for key, name in sorted(names.items())
        }
        return [NodeTime(label, tuple(times[key]), kernels.get(key)) for key, label in labels.items()]

    def trace(self, *inputs: Array, **named: Array) -> list[OperatorCall]:
        """Runs a batch and copies the inputs and outputs of every Bittern operator, in the order of execution.

        Tensors of several slices are joined along the batch axis, as if one call had computed them.
        """
        traces = [self._trace(batch, count) for batch, count in self._batches(inputs, named)]
        return [
            join(calls, operator.activations) for operator, *calls in zip(self.metadata.operators, *traces, strict=True)
        ]

    def _trace(self, batch: list[Array], count: int) -> list[OperatorCall]:
        calls = []
        traced = self._run(self._engine.trace, batch)
        for operator, (name, inputs, outputs) in zip(self.metadata.operators, traced, strict=True):
            cut = tuple(_cut(value, count) if i in operator.activations else value for i, value in enumerate(inputs))
            calls.append(OperatorCall(_short(name), cut, tuple(output[:count] for output in outputs)))
        return calls

    def _run(self, method: Callable[[Sequence[Array]], Result], batch: Sequence[Array]) -> Result:
        try:
            return method(batch)
        except _engine.EngineError as error:
            raise ModelFileError(f"{self.path} cannot be run: {error}") from error

    def _batches(self, inputs: Sequence[object], named: Mapping[str, object]) -> Iterator[tuple[list[Array], int]]:
        """The program's calls, and the number of images in each."""
        arrays = bind(self.signature, inputs, named)
        return slices(self.signature, arrays, self._orders, dynamic=self.metadata.dynamic_batch)


_KERNEL = "kernel "
"""Prefix of the event by which an operator names its kernel (native/operators/call.h)."""
_INSTRUCTIONS = ("OPERATOR_CALL", "DELEGATE_CALL")


def join(calls: Sequence[OperatorCall], activations: Sequence[int]) -> OperatorCall:
    """The calls of one operator on consecutive images, joined into one; ``activations``: inputs that depend on them."""
    first = calls[0]
    inputs = tuple(
        _concatenate([call.inputs[i] for call in calls]) if i in activations else value
        for i, value in enumerate(first.inputs)
    )
    outputs = tuple(np.concatenate(arrays) for arrays in zip(*(call.outputs for call in calls), strict=True))
    return OperatorCall(first.name, inputs, outputs)


def _cut(value: object, count: int) -> object:
    """The first ``count`` images of a tensor; None stays None."""
    return value[:count] if isinstance(value, np.ndarray) else value


def _concatenate(values: Sequence[object]) -> object:
    arrays = [value for value in values if isinstance(value, np.ndarray)]
    return np.concatenate(arrays) if arrays else None


def _short(name: str) -> str:
    """``bittern::conv2d.out`` to ``conv2d``."""
    return name.removeprefix("bittern::").removesuffix(".out")
