"""`to_c`: a trained module becomes a folder of C99 that any compiler turns into the network."""

import os
import re
import shutil
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bittern._preprocessing import Preprocessing
from bittern.export.c import memory, text
from bittern.export.c.lower import lower
from bittern.export.c.reference import Reference
from bittern.export.c.run import find_compiler
from bittern.export.c.sizes import LayerSize, check_limits, layer_sizes
from bittern.export.c.verify import check_folder
from bittern.export.c.write import Card, files
from bittern.export.capture import Captured, capture, channels_last
from bittern.export.deployed import Deployed
from bittern.export.errors import ExportError, ExportWarning
from bittern.export.rewrite import rewrite
from bittern.export.verify.corpus import NORMAL, PIXELS, images

_CASES = (NORMAL, PIXELS)
"""Kinds of the inputs in NAME_reference.h."""


@dataclass(frozen=True)
class CExport:
    """What `to_c` wrote.

    Args:
        path: the folder. ``name``: of the network's files and functions.
        weight_bytes: weights and tables, which lie in flash; ``arena_bytes``: the memory that a run needs.
        layers: what each node of the deployed graph needs of both.
        checked: it was compiled here, and gave what its reference gives.
    """

    path: Path
    name: str
    weight_bytes: int
    arena_bytes: int
    layers: tuple[LayerSize, ...]
    checked: bool

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "path": str(self.path)}


def to_c(
    module: nn.Module,
    example: Tensor,
    folder: str | os.PathLike[str],
    *,
    name: str | None = None,
    class_names: Sequence[str] | None = None,
    preprocessing: Preprocessing | None = None,
    flash: int | None = None,
    ram: int | None = None,
    check: bool = True,
) -> CExport:
    """Exports ``module`` as C99 for inputs shaped like ``example`` and writes it into ``folder``.

    The folder holds the network (`NAME.h`, `NAME.c`), the operators that it calls (`bittern_kernels.h`, `.c`), a test
    with its reference outputs, and a `CMakeLists.txt`. The same input gives the same files.

    Args:
        module: any `nn.Module` of one input and one output; exported as if in evaluation mode.
        example: float32 ``[N, ...]``; N is the number of images that one call computes.
        folder: must not exist, or be empty. Written under a temporary name, then renamed.
        name: an identifier in C and C++; the class name by default.
        class_names: one per output, as macros.
        preprocessing: the input is 8-bit pixels ``[N, H, W, C]``, which the network prepares itself. None: floats.
        flash: the most bytes of weights and tables. ``ram``: the most bytes of the arena. None: no limit.
        check: compile the files here, if there is a compiler, and compare what every node gives with its reference.

    Raises:
        ExportError: the module cannot be captured, an operator has no kernel in C, a name, the folder or a limit does
            not fit, or the compiled network computes something else. Nothing is written then.
        OSError: the folder cannot be written.

    Warns:
        ExportWarning: there is no compiler for ``check``, or what `to_pte` warns of in the module.
    """
    target = Path(folder)
    check_new(target)
    name = identifier(type(module).__name__) if name is None else name
    if (reason := text.why_no_identifier(name)) is not None:
        raise ExportError(f"{name!r} cannot name files and functions in C: {reason}")
    captured = capture(module, example)
    if preprocessing is not None and (why := preprocessing.why_not(captured.input_shape)) is not None:
        raise ExportError(f"preprocessing does not fit: {why}")
    deployed = rewrite(captured)
    if class_names is not None and len(class_names) != deployed.output_shape[-1]:
        raise ExportError(
            f"{len(class_names)} class names for {deployed.output_shape[-1]} outputs: give one per output"
        )
    network = lower(deployed, pixels=preprocessing is not None)
    layers = layer_sizes(deployed, network)
    check_limits(network, layers, flash, ram)
    cases = _cases(captured, deployed, preprocessing)
    card = Card(name, type(module).__name__, None if class_names is None else tuple(class_names), preprocessing, cases)
    concerns = list(deployed.warned)
    if (remark := deployed.without_bits) is not None:
        concerns.append(remark)
    checked = check and find_compiler() is not None
    if check and not checked:
        concerns.append("no C compiler is installed, so the files were not tried: compile and run their test")
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    temporary.mkdir(parents=True)
    try:
        for file, content in files(network, card).items():
            (temporary / file).write_text(content)
        if checked:
            check_folder(temporary, name, network, deployed)
        os.replace(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    for message in concerns:
        warnings.warn(message, ExportWarning, stacklevel=2)
    return CExport(target, name, network.constant_bytes, network.arena_bytes, layers, checked)


def check_new(folder: Path) -> None:
    """Raises ExportError if ``folder`` holds something already, or is no folder."""
    if folder.is_dir() and any(folder.iterdir()):
        raise ExportError(f"{folder} is not empty: name a new folder, or remove what it holds")
    if folder.exists() and not folder.is_dir():
        raise ExportError(f"{folder} is a file: name a new folder")


def identifier(name: str) -> str:
    """``name`` as C would have it: other characters than letters and digits become underscores."""
    result = re.sub(r"\W", "_", name, flags=re.ASCII).strip("_").lower()
    return result if text.why_no_identifier(result) is None else f"network_{result}"


def _cases(
    captured: Captured, deployed: Deployed, preprocessing: Preprocessing | None
) -> list[tuple[tuple[Tensor, ...], tuple[Tensor, ...]]]:
    """Inputs and outputs as C has them."""
    cases: list[tuple[tuple[Tensor, ...], tuple[Tensor, ...]]] = []
    for index, kind in enumerate(_CASES):
        shape = captured.input_shape
        if preprocessing is None:
            x = torch.from_numpy(images(kind, shape[0], shape[1:]))
            given = memory.stored(x)
        else:
            pixels = torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(index), dtype=torch.uint8)
            x = preprocessing(pixels)
            given = pixels.permute(0, 2, 3, 1).contiguous().flatten()
        outputs = Reference(deployed)(channels_last(x))
        cases.append(((given,), tuple(memory.stored(output) for output in outputs)))
    return cases
