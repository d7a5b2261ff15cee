"""Compiles a network for this machine and runs it, with every tensor that it computes."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from bittern.export.c import memory
from bittern.export.c.program import CNetwork
from bittern.export.c.write import KERNELS_SOURCE
from bittern.export.deployed import Deployed
from bittern.export.errors import ExportError

COMPILERS = ("cc", "gcc", "clang")
FLAGS = ("-std=c99", "-O2", "-ffp-contract=off")
_SECONDS = 600
_MAX_CHARACTERS = 300  # of the compiler's message

_HARNESS = """\
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static void trace(int32_t tensor, const void *data, size_t bytes) {{
  const int32_t head[2] = {{tensor, (int32_t)bytes}};
  if (fwrite(head, 4, 2, stdout) != 2 || fwrite(data, 1, bytes, stdout) != bytes) {{
    exit(1);
  }}
}}

#define BITTERN_TRACE(tensor, data, bytes) trace(tensor, data, bytes)
#include "{name}.c"

{inputs}
{outputs}
static uint32_t arena[({macro}_ARENA_BYTES + 3) / 4];

int main(void) {{
  while ({reads}) {{
    forward({arguments}, (uint8_t *)(void *)arena);
{traces}
  }}
  return fflush(stdout) != 0;
}}
"""


@dataclass(frozen=True)
class CRun:
    """What a compiled network gave for one batch.

    ``values``: name of a node of the deployed graph -> the tensors that it gives, shaped as PyTorch has them.
    """

    outputs: tuple[Tensor, ...]
    values: Mapping[str, tuple[Tensor, ...]]


def find_compiler() -> str | None:
    """The C compiler named by CC, or the first that is installed; None if there is none."""
    named = os.environ.get("CC")
    return next((path for each in ((named,) if named else COMPILERS) if (path := shutil.which(each))), None)


def run(
    folder: Path,
    name: str,
    network: CNetwork,
    deployed: Deployed,
    batches: Sequence[Sequence[Tensor]],
    *,
    compiler: str | None = None,
    flags: Sequence[str] = FLAGS,
) -> Iterator[CRun]:
    """Compiles the files in ``folder`` and runs the network on each of ``batches``, in a process of its own.

    Args:
        deployed: the graph that ``network`` was made from.
        batches: float32 inputs, shaped as PyTorch has them.

    Raises:
        ExportError: no compiler, or it refuses the files, or the program fails.
    """
    compiler = compiler or find_compiler()
    if compiler is None:
        raise ExportError("no C compiler is installed: install gcc or clang, or name one in the variable CC")
    with tempfile.TemporaryDirectory() as temporary:
        harness, program = Path(temporary, "harness.c"), Path(temporary, "harness")
        harness.write_text(_harness(network, name))
        files = (str(harness), str(folder / KERNELS_SOURCE))
        _call([compiler, *flags, f"-I{folder}", *files, "-o", str(program)], "the compiler refuses the network")
        data = b"".join(memory.stored(x).numpy().tobytes() for batch in batches for x in batch)
        yield from _read(
            _call([str(program)], "the compiled network fails", data), network, _shapes(deployed), len(batches)
        )


def _shapes(deployed: Deployed) -> dict[str, tuple[tuple[int, ...], ...]]:
    """Of what each node gives."""
    shapes = {}
    for node in deployed.graph.calls():
        value = node.meta["val"]
        values = value if isinstance(value, (tuple, list)) else (value,)
        shapes[node.name] = tuple(tuple(each.shape) for each in values if isinstance(each, Tensor))
    return shapes


def _harness(network: CNetwork, name: str) -> str:
    macro = name.upper()
    count = len([1 for buffers in network.values.values() for _ in buffers])
    return _HARNESS.format(
        name=name,
        macro=macro,
        inputs="\n".join(f"static float {port.name}[{port.buffer.count}];" for port in network.inputs),
        outputs="\n".join(f"static float {port.name}[{port.buffer.count}];" for port in network.outputs),
        reads=" && ".join(
            f"fread({port.name}, 4, {port.buffer.count}, stdin) == {port.buffer.count}" for port in network.inputs
        ),
        arguments=", ".join(port.name for port in (*network.inputs, *network.outputs)),
        traces="\n".join(
            f"    trace({count + i}, {port.name}, sizeof {port.name});" for i, port in enumerate(network.outputs)
        ),
    )


def _call(command: Sequence[str], failure: str, data: bytes = b"") -> bytes:
    done = subprocess.run(command, input=data, capture_output=True, timeout=_SECONDS, check=False)
    if done.returncode:
        message = done.stderr.decode(errors="replace").strip() or f"exit status {done.returncode}"
        raise ExportError(f"{failure}: {message[:_MAX_CHARACTERS]}")
    return done.stdout


def _read(data: bytes, network: CNetwork, shapes: Mapping[str, Sequence[tuple[int, ...]]], runs: int) -> Iterator[CRun]:
    """Raises ExportError for anything else than the trace of ``runs`` runs of ``network``."""
    place = 0

    def tensor(number: int, dtype: torch.dtype, shape: tuple[int, ...]) -> Tensor:
        nonlocal place
        head = torch.frombuffer(bytearray(data[place : place + 8]), dtype=torch.int32).tolist() if data[place:] else []
        size = 4 * torch.Size(shape).numel()
        if head != [number, size] or len(data) < place + 8 + size:
            raise ExportError("the folder holds another network than this model's: export the model again")
        elements = torch.frombuffer(bytearray(data[place + 8 : place + 8 + size]), dtype=dtype)
        place += 8 + size
        return memory.restored(elements, shape)

    for _ in range(runs):
        values, number = {}, 0
        for name, buffers in network.values.items():
            found = []
            for buffer, shape in zip(buffers, shapes[name], strict=True):
                found.append(tensor(number, buffer.dtype, tuple(shape)))
                number += 1
            values[name] = tuple(found)
        outputs = []
        for port in network.outputs:
            outputs.append(tensor(number, torch.float32, port.shape))
            number += 1
        yield CRun(tuple(outputs), values)
