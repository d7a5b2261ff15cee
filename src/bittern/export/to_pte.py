"""`to_pte`: a trained module becomes a file that the engine runs."""

import json
import os
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import torch
from torch import Tensor, nn

from bittern import __version__
from bittern._files import write_atomically
from bittern._text import listed
from bittern.export import executorch
from bittern.export.capture import Captured, capture
from bittern.export.deployed import Deployed
from bittern.export.errors import ExportError, ExportWarning
from bittern.export.executorch import Lowered
from bittern.export.explain import Explanation, explain
from bittern.export.rewrite import rewrite
from bittern.export.signature import Example
from bittern.export.verify.run_once import check_program
from bittern.runtime.errors import ModelFileError
from bittern.runtime.metadata import Metadata, Preprocessing
from bittern.runtime.signature import Signature


@dataclass(frozen=True)
class Export:
    """What `to_pte` wrote: the file, its size in bytes, its metadata, and what runs where."""

    path: Path
    size: int
    metadata: Metadata
    explanation: Explanation

    def __str__(self) -> str:
        card, counts = self.metadata, Counter(operator.op for operator in self.metadata.operators)
        nodes = {runs: self.explanation.count(runs) for runs in ("bittern", "xnnpack", "fallback")}
        return "\n".join(
            (
                f"{self.path}, {self.size} bytes: {card.model}",
                f"{list(card.input_shape)} -> {list(card.output_shape)}{', int8' if card.int8 else ''}",
                f"Bittern's operators: {listed(f'{count} {op}' for op, count in counts.items()) or 'none'}",
                ", ".join(f"{count} nodes in {runs}" for runs, count in nodes.items()),
                f"not packed: {listed(row.path or row.node for row in self.explanation.unpacked) or 'nothing'}",
            )
        )


def to_pte(
    module: nn.Module,
    example: Example,
    path: str | os.PathLike[str],
    *,
    name: str | None = None,
    class_names: Sequence[str] | None = None,
    preprocessing: Preprocessing | None = None,
    max_batch: int | None = None,
    int8: Tensor | Sequence[Tensor] | None = None,
    check: bool = True,
) -> Export:
    """Exports ``module`` for inputs shaped like ``example`` and writes the file at ``path``.

    Layers whose input comes from `bittern::binarize` and whose weights hold one magnitude per filter run on packed
    bits; everything else runs in XNNPACK. The module itself is not changed. The same input gives the same bytes.

    Args:
        module: any `nn.Module`; exported as if in evaluation mode, on the CPU. It may return a tensor, or tuples,
            lists, dicts and dataclasses of tensors.
        example: float32, usually ``[N, C, H, W]``; N is the batch that the engine computes at a time. Of several inputs
            a tuple, or a dict by their names; dtypes and batches as in `capture`.
        path: written under a temporary name, then renamed.
        name: the model's name in the metadata; the class name by default.
        class_names: one per class, for `bittern run`: as many as some output has in its last dimension.
        preprocessing: how pixels become the input, for `bittern run`.
        max_batch: the engine computes any number of images from 1 to this at once, whatever the example's batch; the
            memory of a loaded file is that of the largest batch. None: the example's batch.
        int8: float layers compute on 8-bit integers, scaled by the values that these calibration images give: float32
            ``[M, ...]``, preprocessed, in one tensor or several; a few hundred of the training set suffice. Bits and
            thresholds of Bittern's operators are the same. None: float layers compute in float32.
        check: the program runs once, in a process of its own, and is compared with ``module`` before it is written, if
            the engine is built here. False saves that time, and leaves it to `bittern.export.verify` to find out.

    Raises:
        ExportError: the module cannot be captured or lowered, its program does not run in the engine or computes
            something else, or the calibration images or the preprocessing do not fit. The message names the module, the
            operator and the way out.
        OSError: the file cannot be written.

    Warns:
        ExportWarning: an input is taken as float32, nothing in the module is binary, a layer reads what looks like
            signs and is none, signs are +1 for every input, a float operator fell to a slow kernel, or results depend
            on other images of the batch.
    """
    captured = capture(module, example, max_batch)
    if preprocessing is not None and (reason := _why_no_pixels(captured, preprocessing)) is not None:
        raise ExportError(f"preprocessing does not fit: {reason}")
    images = None if int8 is None else _calibration(captured, int8)
    request = _Request(name or type(module).__name__, class_names, preprocessing, images, check)
    try:
        program = request.program(captured)
    except _NoProgramError as error:
        raise ExportError(f"{error}. {_way_out(request, captured)}") from error
    _warn(program)
    target = Path(path)
    write_atomically(target, program.data)
    return Export(target, len(program.data), program.card, program.explanation)


def _why_no_pixels(captured: Captured, preprocessing: Preprocessing) -> str | None:
    """None if ``preprocessing`` makes the first input, else why not."""
    first = captured.signature.inputs[0]
    if first.dtype != "float32":
        return f"it makes float32 images, the first input is {first}: leave it out"
    return preprocessing.why_not(first.shape)


def _calibration(captured: Captured, images: Tensor | Sequence[Tensor]) -> Tensor:
    inputs = captured.signature.inputs
    if len(inputs) > 1 or inputs[0].dtype != "float32":
        takes = ", ".join(map(str, inputs))
        raise ExportError(f"int8 is for networks of one input of floats, this one takes {takes}: export without int8")
    return executorch.check_calibration(images, inputs[0].shape)


@dataclass(frozen=True)
class _Program:
    data: bytes
    card: Metadata
    deployed: Deployed
    lowered: Lowered
    explanation: Explanation
    concerns: Sequence[str]


class _NoProgramError(ExportError):
    """A graph that was captured cannot be lowered, or its program is not the module's."""


@dataclass(frozen=True)
class _Request:
    """What `to_pte` was asked for, beside the module; ``images``: for the calibration of int8."""

    name: str
    class_names: Sequence[str] | None
    preprocessing: Preprocessing | None
    images: Tensor | None
    check: bool

    def program(self, captured: Captured) -> _Program:
        deployed = rewrite(captured)
        sizes = [spec.shape[-1] for spec in deployed.signature.outputs if spec.shape]
        if self.class_names is not None and len(self.class_names) not in sizes:
            raise ExportError(
                f"{len(self.class_names)} class names for {' or '.join(map(str, sizes))} outputs: give one per output"
            )
        try:
            Metadata.from_json(json.dumps(self._card(deployed).to_json()))
        except (ModelFileError, TypeError) as error:
            raise ExportError(f"the engine could not read what the file would say about itself: {error}") from error
        try:
            if self.images is not None:
                deployed = executorch.quantize(deployed, self.images)
            lowered, card, data = self._lowered(deployed)
            explanation = explain(deployed, lowered.placements)
            concerns: Sequence[str] = ()
            if self.check:
                concerns = check_program(data, deployed, explanation, self._file, self.images)
        except ExportError as error:
            raise _NoProgramError(str(error)) from error
        return _Program(data, card, deployed, lowered, explanation, concerns)

    def _file(self, deployed: Deployed) -> bytes:
        """Of a part of the program, whose outputs have no names."""
        return replace(self, class_names=None)._lowered(deployed)[-1]

    def _card(self, deployed: Deployed) -> Metadata:
        """All but the operators, which lowering tells."""
        captured, signature = deployed.captured, deployed.signature
        return Metadata(
            bittern=__version__,
            executorch=version("executorch"),
            model=self.name,
            input_shape=signature.inputs[0].shape,
            output_shape=deployed.output_shape,
            class_names=None if self.class_names is None else tuple(self.class_names),
            preprocessing=self.preprocessing,
            dynamic_batch=captured.max_batch is not None and captured.max_batch > 1,
            int8=deployed.int8,
            interface=None if signature == Signature.single(captured.input_shape, deployed.output_shape) else signature,
        )

    def _lowered(self, deployed: Deployed) -> tuple[Lowered, Metadata, bytes]:
        lowered = executorch.lower(deployed)
        card = replace(self._card(deployed), operators=lowered.operators)
        return lowered, card, executorch.write(lowered, card)


def _way_out(request: _Request, captured: Captured) -> str:
    """What the user can do about a network that has no program: what was tried and works, if anything does."""
    dynamic = captured.max_batch is not None and captured.max_batch > 1
    floats = replace(request, images=None, check=True)
    attempts = [("without int8", floats, captured.max_batch)] if request.images is not None else []
    if dynamic:
        attempts.append(("without a dynamic batch (max_batch)", replace(request, check=True), None))
    if dynamic and request.images is not None:
        attempts.append(("without int8 and without a dynamic batch (max_batch)", floats, None))
    for words, attempt, max_batch in attempts:
        try:
            attempt.program(capture(captured.module, captured.inputs, max_batch))
        except ExportError:
            continue
        return f"It exports {words}"
    return "Use operators that XNNPACK takes (convolutions, linear layers, pooling, arithmetic, ReLU and its like)"


def deployed_graph(module: nn.Module, example: Example) -> torch.fx.GraphModule:
    """The program that the engine runs, as a PyTorch module: the references of Bittern's operators, node by node."""
    return rewrite(capture(module, example)).graph.module


def _warn(program: _Program) -> None:
    messages = list(program.deployed.warned)
    if (text := program.deployed.without_bits) is not None:
        messages.append(text)
    for row in program.explanation.fallbacks:
        where = f" in {row.path}" if row.path else ""
        messages.append(f"{row.node}{where} runs in ExecuTorch's slow {row.kernel}: XNNPACK does not take it")
    for message in (*messages, *program.concerns):
        warnings.warn(message, ExportWarning, stacklevel=3)
