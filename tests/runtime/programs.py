"""Small programs of Bittern's operators, lowered straight with ExecuTorch's exporter."""

import functools
import json
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

import bittern.ops  # noqa: F401  (defines the operators)
from bittern.export.quiet import third_party_quiet
from bittern.runtime import Metadata, Operator, container

METADATA = Metadata(
    bittern="0.1.0",
    executorch="1.5.1",
    model="small",
    input_shape=(2, 3, 8, 8),
    output_shape=(2, 5),
    class_names=tuple("abcde"),
    operators=(
        Operator("pack", "", (None,), (0,)),
        Operator("conv2d_threshold", "", (None,), (0,)),
        Operator("conv2d_float_packed", "", (None, None), (0, 17)),
        Operator("max_pool2d", "", (None,), (0,)),
        Operator("conv2d", "", (None,), (0,)),
    ),
)


class Small(nn.Module):
    """Float stem, three packed convolutions of different forms, a pooling, a float head."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.stem, self.head = nn.Conv2d(3, 40, 3, padding=1), nn.Linear(40, 5)
        # Three blocks of 16 filters; the last 8 filters and the last 24 bits of every second word stay 0.
        bits = torch.randint(-(2**31), 2**31, (3, 18, 16), generator=generator)
        bits[2, :, 8:] = 0
        bits[:, 1::2] &= 0xFF
        self.register_buffer("weight", bits.to(torch.int32))
        self.register_buffer("mul", torch.randn(40, generator=generator) / 20)
        self.register_buffer("add", torch.randn(40, generator=generator))
        self.register_buffer("threshold", torch.randint(-9, 9, (40,), generator=generator, dtype=torch.int32))

    def forward(self, x: Tensor) -> Tensor:
        op, conv = torch.ops.bittern, (40, 40, [3, 3], [1, 1], [1, 1, 1, 1], [1, 1], 1)
        y = self.stem(x)
        bits = op.conv2d_threshold(op.pack(y, None, 1), self.weight, *conv, 0, self.threshold)
        steps = (None, None, self.mul, self.add, None, None, None, y, None, None, None)
        _, bits = op.conv2d_float_packed(bits, self.weight, *conv, 1, *steps, None)
        bits = op.max_pool2d(bits, [2, 2], [2, 2], [0, 0, 0, 0], [1, 1])
        steps = (0.0, None, self.mul, self.add, None, None, None, None, None, None, None)
        z = op.conv2d(bits, self.weight, *conv, -1, *steps)
        return self.head(nn.functional.adaptive_avg_pool2d(z, 1).flatten(1))


def lower(net: nn.Module, *examples: Tensor, metadata: Metadata | str | None = METADATA) -> bytes:
    """The serialized program of ``net`` for inputs like ``examples``, with the constant method of ``metadata``."""
    with third_party_quiet():
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import EdgeCompileConfig, EdgeProgramManager, to_edge_transform_and_lower

        config = EdgeCompileConfig(_check_ir_validity=False)
        exported = torch.export.export(net.eval(), examples)
        edge = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()], compile_config=config)
        text = json.dumps(metadata.to_json()) if isinstance(metadata, Metadata) else metadata
        constants = None if text is None else {"bittern_metadata": text}
        return bytes(EdgeProgramManager(edge.exported_program(), constants, config).to_executorch().buffer)


def example(batch: int = 2) -> Tensor:
    images = torch.randn(batch, 3, 8, 8, generator=torch.Generator().manual_seed(batch))
    return images.to(memory_format=torch.channels_last)


def write(path: Path, program: bytes) -> Path:
    path.write_bytes(container.append_footer(program))
    return path


@functools.cache
def small_program(batch: int = 2) -> bytes:
    metadata = replace(METADATA, input_shape=(batch, 3, 8, 8), output_shape=(batch, 5))
    return lower(Small(), example(batch), metadata=metadata)
