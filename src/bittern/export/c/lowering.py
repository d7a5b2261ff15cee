"""What the operators' lowerings share: the buffers of nodes, and the calls so far."""

from collections.abc import Sequence

import torch
from torch import Tensor, fx

from bittern.export.c import memory
from bittern.export.c.program import ARENA, CONSTANT, Buffer, KernelCall, Struct
from bittern.export.errors import ExportError
from bittern.export.graph import Graph, Provenance, operator_name, shape

_ELEMENTS = (torch.float32, torch.int32)
COPY_DIMS = 5


class Lowering:
    """The calls that a graph becomes, node by node."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.calls: list[KernelCall] = []
        self.buffers: dict[fx.Node, tuple[Buffer, ...]] = {}

    def read(self, node: fx.Node) -> Buffer:
        """The buffer of the tensor that ``node`` gives, a constant's included."""
        if node not in self.buffers:
            value = self.constant(node)
            assert value is not None, f"{node} is read before it is computed"
            self.check_dtype(node, value.dtype)
            elements = memory.stored(value)
            self.buffers[node] = (Buffer(node.name, elements.numel(), value.dtype, CONSTANT, elements),)
        return self.buffers[node][0]

    def constant(self, node: object) -> Tensor | None:
        return self.graph.constant(node)

    def result(self, node: fx.Node, tensor: Tensor | None = None, suffix: str = "") -> Buffer:
        """New memory for ``tensor``, by default the one that ``node`` gives."""
        tensor = node.meta["val"] if tensor is None else tensor
        self.check_dtype(node, tensor.dtype)
        return Buffer(node.name + suffix, tensor.numel(), tensor.dtype, ARENA)

    def scratch(self, node: fx.Node, count: int, dtype: torch.dtype = torch.int32) -> Buffer:
        return Buffer(f"{node.name}_scratch{len(self.calls)}", count, dtype, ARENA)

    def bind(self, node: fx.Node, *buffers: Buffer) -> None:
        """The tensors that ``node`` gives are in ``buffers``."""
        self.buffers[node] = buffers

    def call(
        self,
        node: fx.Node,
        function: str,
        layer: Struct,
        operands: Sequence[Buffer | None],
        writes: Sequence[Buffer],
        *,
        scratch: Sequence[Buffer] = (),
        shared: Sequence[tuple[Buffer, Buffer]] = (),
    ) -> None:
        path = Provenance.of(node).path
        self.calls.append(
            KernelCall(function, layer, tuple(operands), tuple(writes), node.name, path, tuple(scratch), tuple(shared))
        )

    def copy(
        self,
        node: fx.Node,
        source: Buffer,
        target: Buffer,
        sizes: Sequence[int],
        source_strides: memory.Strides,
        target_strides: memory.Strides,
        source_offset: int = 0,
        target_offset: int = 0,
    ) -> None:
        """Copies elements; strides and offsets in elements."""
        walk = sorted(range(len(sizes)), key=lambda dim: -target_strides[dim])
        dims, (a, b) = memory.collapse(
            [sizes[dim] for dim in walk],
            tuple(source_strides[dim] for dim in walk),
            tuple(target_strides[dim] for dim in walk),
        )
        run = dims.pop() if dims and a[-1] == b[-1] == 1 else 1
        a, b = a[: len(dims)], b[: len(dims)]
        if len(dims) > COPY_DIMS:
            self.refuse(node, f"moves its elements along {len(dims)} dimensions, the C kernels along {COPY_DIMS}")
        fields = {
            "sizes": memory.padded(dims, COPY_DIMS, 1),
            "in_strides": memory.padded([4 * stride for stride in a], COPY_DIMS, 0),
            "out_strides": memory.padded([4 * stride for stride in b], COPY_DIMS, 0),
            "in_offset": 4 * source_offset,
            "out_offset": 4 * target_offset,
            "bytes": 4 * run,
        }
        self.call(node, "bittern_copy", Struct("bittern_copy_t", fields), (source, target), (target,))

    def rows(self, node: fx.Node, reader: fx.Node) -> Buffer:
        """The tensor of ``node`` in row-major memory, for ``reader``: a copy where it lies otherwise."""
        tensor, buffer = node.meta["val"], self.read(node)
        if memory.is_row_major(tensor.shape, tensor.dtype):
            return buffer
        copy = Buffer(f"{node.name}_rows{len(self.calls)}", buffer.count, buffer.dtype, ARENA)
        strides = memory.strides(tensor.shape, tensor.dtype)
        self.copy(reader, buffer, copy, tensor.shape, strides, memory.row_major(tensor.shape))
        return copy

    def from_rows(self, node: fx.Node, rows: Buffer, tensor: Tensor | None = None) -> Buffer:
        """The ``tensor`` of ``node``, which lies row-major in ``rows``: a copy where it should lie otherwise."""
        tensor = node.meta["val"] if tensor is None else tensor
        if memory.is_row_major(tensor.shape, tensor.dtype):
            return rows
        result = self.result(node, tensor, "_ordered")
        strides = memory.strides(tensor.shape, tensor.dtype)
        self.copy(node, rows, result, tensor.shape, memory.row_major(tensor.shape), strides)
        return result

    def check_dtype(self, node: fx.Node, dtype: torch.dtype) -> None:
        if dtype not in _ELEMENTS:
            name = str(dtype).removeprefix("torch.")
            self.refuse(node, f"has elements of {name}, which the C back end lacks: compute in float32")

    def refuse(self, node: fx.Node, reason: str) -> None:
        """Raises ExportError for an operator that no kernel computes."""
        where = Provenance.of(node).path or "the model itself"
        raise ExportError(f"{operator_name(node)} in {where} {reason}. ExecuTorch runs it: export to a .pte file")


def images(node: fx.Node, lowering: Lowering) -> tuple[int, int, int, int]:
    """The shape of images ``[N, C, H, W]``."""
    if len(shape(node)) != 4:
        lowering.refuse(
            node, f"reads {list(shape(node))}: in C it takes images [N, C, H, W]; add the missing dimension"
        )
    n, c, h, w = shape(node)
    return n, c, h, w
