"""`to_pte`: a trained module becomes a file that the engine runs."""

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch
from torch import Tensor, nn

from bittern import __version__
from bittern._files import write_atomically
from bittern.export import executorch
from bittern.export.capture import capture
from bittern.export.deployed import Deployed
from bittern.export.errors import ExportError, ExportWarning
from bittern.export.executorch import Lowered
from bittern.export.explain import Explanation, explain
from bittern.export.rewrite import rewrite
from bittern.export.verify.run_once import check_runs, uncertain
from bittern.runtime.metadata import Metadata, Preprocessing


@dataclass(frozen=True)
class Export:
    """What `to_pte` wrote: the file, its size in bytes, its metadata, and what runs where."""

    path: Path
    size: int
    metadata: Metadata
    explanation: Explanation


def to_pte(
    module: nn.Module,
    example: Tensor,
    path: str | os.PathLike[str],
    *,
    name: str | None = None,
    class_names: Sequence[str] | None = None,
    preprocessing: Preprocessing | None = None,
    max_batch: int | None = None,
    int8: Tensor | Sequence[Tensor] | None = None,
) -> Export:
    """Exports ``module`` for inputs shaped like ``example`` and writes the file at ``path``.

    Layers whose input comes from `bittern::binarize` and whose weights hold one magnitude per filter run on packed
    bits; everything else runs in XNNPACK. The module itself is not changed. The same input gives the same bytes.

    Args:
        module: any `nn.Module` of one input and one output; exported as if in evaluation mode, on the CPU.
        example: float32, usually ``[N, C, H, W]``; N is the batch that the engine computes at a time.
        path: written under a temporary name, then renamed.
        name: the model's name in the metadata; the class name by default.
        class_names: one per output, for `bittern run`.
        preprocessing: how pixels become the input, for `bittern run`.
        max_batch: the engine computes any number of images from 1 to this at once, whatever the example's batch; the
            memory of a loaded file is that of the largest batch. None: the example's batch.
        int8: float layers compute on 8-bit integers, scaled by the values that these calibration images give: float32
            ``[M, ...]``, preprocessed, in one tensor or several; a few hundred of the training set suffice. Bits and
            thresholds of Bittern's operators are the same. None: float layers compute in float32.

    Raises:
        ExportError: the module cannot be captured or lowered, does not run in the engine, or the calibration images or
            the preprocessing do not fit. The message names the module, the operator and the way out.
        OSError: the file cannot be written.

    Warns:
        ExportWarning: nothing in the module is binary, a layer reads what looks like signs and is none, signs are +1
            for every input, or a float operator fell to a slow kernel.
    """
    captured = capture(module, example, max_batch)
    if preprocessing is not None and (reason := preprocessing.why_not(example.shape)) is not None:
        raise ExportError(f"preprocessing does not fit: {reason}")
    images = None if int8 is None else executorch.check_calibration(int8, tuple(example.shape))
    deployed = rewrite(captured)
    if class_names is not None and len(class_names) != deployed.output_shape[-1]:
        raise ExportError(
            f"{len(class_names)} class names for {deployed.output_shape[-1]} outputs: give one per output"
        )
    if images is not None:
        deployed = executorch.quantize(deployed, images)
    lowered = executorch.lower(deployed)
    card = Metadata(
        bittern=__version__,
        executorch=version("executorch"),
        model=name or type(module).__name__,
        input_shape=captured.input_shape,
        output_shape=deployed.output_shape,
        class_names=None if class_names is None else tuple(class_names),
        preprocessing=preprocessing,
        operators=lowered.operators,
        dynamic_batch=captured.max_batch is not None and captured.max_batch > 1,
        int8=deployed.int8,
    )
    data = executorch.write(lowered, card)
    explanation = explain(deployed, lowered.placements)
    if uncertain(explanation) or captured.max_batch is not None or deployed.int8:
        check_runs(data, deployed, explanation)
    _warn(deployed, lowered, explanation)
    target = Path(path)
    write_atomically(target, data)
    return Export(target, len(data), card, explanation)


def deployed_graph(module: nn.Module, example: Tensor) -> torch.fx.GraphModule:
    """The program that the engine runs, as a PyTorch module: the references of Bittern's operators, node by node."""
    return rewrite(capture(module, example)).graph.module


def _warn(deployed: Deployed, lowered: Lowered, explanation: Explanation) -> None:
    for text in deployed.warned:
        warnings.warn(text, ExportWarning, stacklevel=3)
    if all(operator.op == "binarize" for operator in lowered.operators):
        message = "nothing in this model is binary: it runs in XNNPACK alone (do its layers call bittern::binarize?)"
        warnings.warn(message, ExportWarning, stacklevel=3)
    for row in explanation.fallbacks:
        where = f" in {row.path}" if row.path else ""
        message = f"{row.node}{where} runs in ExecuTorch's slow {row.kernel}: XNNPACK does not take it"
        warnings.warn(message, ExportWarning, stacklevel=3)
