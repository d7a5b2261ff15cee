"""Where in the arena each buffer lies: large ones first, each at the lowest place that is free while it is in use."""

from collections.abc import Sequence

from bittern.export.c.program import ARENA, Buffer, KernelCall, Port

ALIGNMENT = 4
"""Bytes."""


class _Lifetimes:
    """From which call to which a buffer is in use; buffers that share memory are one."""

    def __init__(self, calls: Sequence[KernelCall], outputs: Sequence[Port], inputs: Sequence[Port]) -> None:
        self.first: dict[Buffer, int] = {port.buffer: -1 for port in inputs}
        self.last: dict[Buffer, int] = dict(self.first)
        for index, call in enumerate(calls):
            for buffer in call.operands:
                if buffer is not None:
                    self.first.setdefault(buffer, index)
                    self.last[buffer] = index
        self.last |= {port.buffer: len(calls) for port in outputs}
        self._owner: dict[Buffer, Buffer] = {}
        self._last_reader = dict(self.last)
        for index, call in enumerate(calls):
            self._share(index, call)

    def owner(self, buffer: Buffer) -> Buffer:
        while buffer in self._owner:
            buffer = self._owner[buffer]
        return buffer

    def _share(self, index: int, call: KernelCall) -> None:
        for read, written in call.shared:
            sole = sum(each is read for each in call.operands) == 1 and self._last_reader[read] == index
            fresh = self.first[written] == index
            same = read.kind == written.kind == ARENA and read.bytes == written.bytes
            if sole and fresh and same:
                self._owner[written] = owner = self.owner(read)
                self.last[owner] = self.last[written]
                return


def plan(calls: Sequence[KernelCall], inputs: Sequence[Port], outputs: Sequence[Port]) -> tuple[dict[Buffer, int], int]:
    """Offsets of the arena's buffers, in bytes, and its size.

    A result takes the memory of what its call reads for the last time, where the kernel allows it (`shared`).
    """
    lifetimes = _Lifetimes(calls, outputs, inputs)
    buffers = [buffer for buffer in lifetimes.first if buffer.kind == ARENA]
    owners = [buffer for buffer in buffers if lifetimes.owner(buffer) is buffer]
    placed: list[Buffer] = []
    offsets: dict[Buffer, int] = {}
    for buffer in sorted(owners, key=lambda each: -each.bytes):
        alive = [
            (offsets[other], offsets[other] + other.bytes)
            for other in placed
            if lifetimes.first[other] <= lifetimes.last[buffer] and lifetimes.first[buffer] <= lifetimes.last[other]
        ]
        offset = 0
        for begin, end in sorted(alive):
            if offset + buffer.bytes <= begin:
                break
            offset = max(offset, -(-end // ALIGNMENT) * ALIGNMENT)
        offsets[buffer] = offset
        placed.append(buffer)
    size = max((offsets[buffer] + buffer.bytes for buffer in owners), default=ALIGNMENT)  # C has no empty arrays
    return {buffer: offsets[lifetimes.owner(buffer)] for buffer in buffers}, size
