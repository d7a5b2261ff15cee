"""The files of a network in C."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

import torch
from torch import Tensor

from bittern import __version__
from bittern._preprocessing import Preprocessing
from bittern.export.c import memory, text
from bittern.export.c.program import ARENA, CONSTANT, Buffer, CNetwork, KernelCall, Port, Struct

_HERE = Path(__file__).parent
KERNELS_HEADER, KERNELS_SOURCE = "bittern_kernels.h", "bittern_kernels.c"
_KERNEL_FILES = (
    "window.h",
    "epilogue.h",
    "count.h",
    "conv2d.c",
    "packed.c",
    "conv2d_f32.c",
    "pool.c",
    "elementwise.c",
    "copy.c",
)
"""In the order in which one file holds them all."""
_CONTRACTION = """\
/* Clang fuses multiplications and additions unless told otherwise; GCC does not with -std=c99. */
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#endif
"""


@dataclass(frozen=True)
class Card:
    """What the files say of the network beside its code.

    ``pixels``: inputs are 8-bit pixels, and this makes floats of them. ``cases``: inputs as C has them, and outputs.
    """

    name: str
    model: str
    class_names: tuple[str, ...] | None
    pixels: Preprocessing | None
    cases: Sequence[tuple[tuple[Tensor, ...], tuple[Tensor, ...]]]

    @property
    def macro(self) -> str:
        return self.name.upper()


def files(network: CNetwork, card: Card) -> dict[str, str]:
    """Name -> content of every file."""
    name = card.name
    return {
        KERNELS_HEADER: (_HERE / "kernels" / KERNELS_HEADER).read_text(),
        KERNELS_SOURCE: kernels(),
        f"{name}.h": _header(network, card),
        f"{name}.c": source(network, card),
        f"{name}_reference.h": _reference(network, card),
        f"test_{name}.c": _test(network, card),
        "CMakeLists.txt": _template("CMakeLists.txt", card),
        "README.md": _readme(network, card),
    }


def kernels() -> str:
    """All kernels as one file."""
    parts = [f'#include "{KERNELS_HEADER}"\n\n{_CONTRACTION}']
    for file in _KERNEL_FILES:
        body = (_HERE / "kernels" / file).read_text().splitlines(keepends=True)
        parts.append("".join(line for line in body if not line.startswith('#include "')))
    return "\n".join(parts)


def _template(file: str, card: Card, **values: str) -> str:
    known = {"name": card.name, "macro": card.macro, "model": text.comment(card.model), "version": __version__}
    return Template((_HERE / "templates" / file).read_text()).substitute(known | values)


def _header(network: CNetwork, card: Card) -> str:
    macro = card.macro
    sizes = [f"#define {macro}_ARENA_BYTES {network.arena_bytes}"]
    for port in (*network.inputs, *network.outputs):
        prefix = f"{macro}_{port.name.upper()}"
        sizes.append(f"#define {prefix}_COUNT {port.buffer.count}")
        stored = [port.shape[dim] for dim in memory.order(port.shape, torch.float32)]
        sizes.append(f"#define {prefix}_SHAPE {{{', '.join(map(str, stored))}}} /* {_axes(port)} */")
    if card.class_names is not None:
        sizes.append(f"#define {macro}_CLASSES {len(card.class_names)}")
        sizes.append(f"#define {macro}_CLASS_NAMES {{{', '.join(map(text.string, card.class_names))}}}")
    element = "uint8_t" if card.pixels else "float"
    return _template(
        "network.h",
        card,
        sizes="\n".join(sizes),
        inputs="\n".join(
            f"  const {element} *{port.name}; /* [{macro}_{port.name.upper()}_COUNT] */" for port in network.inputs
        ),
        outputs="\n".join(
            f"  float *{port.name}; /* [{macro}_{port.name.upper()}_COUNT] */" for port in network.outputs
        ),
    )


def _axes(port: Port) -> str:
    return "images, height, width, channels" if len(port.shape) == 4 else "row-major"


def source(network: CNetwork, card: Card) -> str:
    """NAME.c: constants, and one call after another."""
    constants = text.Constants()
    layers, body = [], []
    last = {call.node: index for index, call in enumerate(network.calls)}
    for index, call in enumerate(network.calls):
        where = f"{call.path}: " if call.path else ""
        layers.append(f"/* {text.comment(where + call.node)} */\n{_layer(index, call.layer, constants)}")
        body.append(_call(index, call, network, constants))
        if last[call.node] == index:
            body += _traces(call.node, network)
    if not network.offsets:
        body.append("(void)arena;")
    parameters = [f"const float *{port.name}" for port in network.inputs]
    parameters += [f"float *{port.name}" for port in network.outputs]
    pixels, prepared = _pixels(network, card, constants)
    return _template(
        "network.c",
        card,
        constants="\n".join(constants.text),
        layers="\n".join(layers) + pixels,
        parameters=", ".join([*parameters, "uint8_t *arena"]),
        body="\n".join(f"  {line}" for line in body),
        missing=" || ".join(
            [f"in->{port.name} == NULL" for port in network.inputs]
            + [f"out->{port.name} == NULL" for port in network.outputs]
        ),
        prepared=prepared,
    )


def _layer(index: int, layer: Struct, constants: text.Constants) -> str:
    return f"static const {layer.type} layer_{index} = {text.struct(layer, constants)};"


def _call(index: int, call: KernelCall, network: CNetwork, constants: text.Constants) -> str:
    operands = [f"&layer_{index}", *(_operand(buffer, network, constants) for buffer in call.operands)]
    return f"{call.function}({', '.join(operands)});"


def _operand(buffer: Buffer | None, network: CNetwork, constants: text.Constants) -> str:
    if buffer is None:
        return "NULL"
    if buffer.kind == CONSTANT:
        assert buffer.data is not None
        return constants.name(buffer.data)
    if buffer.kind == ARENA and not any(port.buffer is buffer for port in network.inputs):
        return f"{'FLOATS' if buffer.dtype == torch.float32 else 'WORDS'}({network.offsets[buffer]})"
    return buffer.name


def _traces(node: str, network: CNetwork) -> list[str]:
    """Hooks for the tensors that ``node`` gives, numbered as `CNetwork.values` has them."""
    numbers = {buffer: i for i, buffer in enumerate(b for buffers in network.values.values() for b in buffers)}
    return [
        f"BITTERN_TRACE({numbers[buffer]}, {_operand(buffer, network, text.Constants())}, {buffer.bytes});"
        for buffer in network.values.get(node, ())
    ]


def _pixels(network: CNetwork, card: Card, constants: text.Constants) -> tuple[str, str]:
    """Definitions for 8-bit inputs, and the arguments of the network's function."""
    outputs = [f"out->{port.name}" for port in network.outputs]
    if card.pixels is None:
        return "", f"forward({', '.join([*(f'in->{port.name}' for port in network.inputs), *outputs, 'bytes'])});"
    (port,) = network.inputs
    channels = port.shape[1]
    ends = {name: (tuple(getattr(card.pixels, name)) * channels)[:channels] for name in ("mean", "std")}
    fields = {
        "pixels": port.buffer.count // channels,
        "channels": channels,
        "scale": float(torch.tensor(card.pixels.scale, dtype=torch.float32)),
        **{name: torch.tensor(values, dtype=torch.float32) for name, values in ends.items()},
    }
    layer = text.struct(Struct("bittern_pixels_t", fields), constants)
    place = f"(float *)(void *)(bytes + {network.offsets[port.buffer]})"
    prepare = f"bittern_pixels(&pixels, in->{port.name}, {place});"
    run = f"forward({', '.join([place, *outputs, 'bytes'])});"
    return f"\n\nstatic const bittern_pixels_t pixels = {layer};", f"{prepare}\n  {run}"


def _reference(network: CNetwork, card: Card) -> str:
    arrays = []
    for index, (inputs, outputs) in enumerate(card.cases):
        for port, value in zip((*network.inputs, *network.outputs), (*inputs, *outputs), strict=True):
            arrays.append(text.array(f"{card.name}_reference_{port.name}_{index}", value))
    return _template("network_reference.h", card, cases=str(len(card.cases)), arrays="\n".join(arrays))


def _test(network: CNetwork, card: Card) -> str:
    reference = f"{card.name}_reference"
    cases = []
    for index in range(len(card.cases)):
        ins = ", ".join(f"{reference}_{port.name}_{index}" for port in network.inputs)
        checks = "".join(
            f'  failures += compare({index}, "{port.name}", {reference}_{port.name}_{index}, {port.name}, '
            f"{card.macro}_{port.name.upper()}_COUNT);\n"
            for port in network.outputs
        )
        cases.append(f"  failures += run(&({card.name}_input_t){{{ins}}});\n{checks}")
    return _template(
        "test_network.c",
        card,
        outputs="\n".join(
            f"static float {port.name}[{card.macro}_{port.name.upper()}_COUNT];" for port in network.outputs
        ),
        fields=", ".join(port.name for port in network.outputs),
        cases="".join(cases),
    )


def _readme(network: CNetwork, card: Card) -> str:
    element = "uint8_t" if card.pixels else "float"
    declarations = [
        f"static {kind}{port.name}[{card.macro}_{port.name.upper()}_COUNT];"
        for kind, ports in ((f"{element} ", network.inputs), ("float ", network.outputs))
        for port in ports
    ]
    return _template(
        "README.md",
        card,
        declarations="\n".join(declarations),
        fields=", ".join(port.name for port in network.inputs),
        results=", ".join(port.name for port in network.outputs),
        weights=f"{network.constant_bytes:,}",
        arena=f"{network.arena_bytes:,}",
        input="8-bit pixels, as they come from a camera" if card.pixels else "floats, preprocessed",
    )
