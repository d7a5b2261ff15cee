"""Where tensors lie in the arena: never two in one place at a time, and no further apart than they must be."""

from itertools import combinations, pairwise

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bittern.export.c.arena import plan
from bittern.export.c.program import ARENA, Buffer, KernelCall, Struct


@st.composite
def programs(draw: st.DrawFn) -> list[KernelCall]:
    """Calls that each write one tensor and read some of those before, in place or not."""
    buffers: list[Buffer] = []
    calls = []
    for index in range(draw(st.integers(1, 12))):
        reads = draw(st.lists(st.sampled_from(buffers), max_size=3)) if buffers else []
        in_place = bool(reads) and draw(st.booleans())
        count = reads[0].count if in_place else draw(st.integers(1, 40))
        result = Buffer(f"buffer_{index}", count, torch.float32, ARENA)
        shared = ((reads[0], result),) if in_place else ()
        calls.append(KernelCall("f", Struct("t", {}), (*reads, result), (result,), f"node_{index}", "", shared=shared))
        buffers.append(result)
    return calls


@settings(max_examples=200, deadline=None)
@given(programs())
def test_no_tensor_is_overwritten_before_its_last_reader(calls: list[KernelCall]) -> None:
    offsets, size = plan(calls, [], [])
    first = {call.writes[0]: index for index, call in enumerate(calls)}
    last = {buffer: max(i for i, call in enumerate(calls) if buffer in call.operands) for buffer in first}
    for a, b in combinations(first, 2):
        if first[b] > last[a] or first[a] > last[b]:
            continue
        apart = offsets[a] + a.bytes <= offsets[b] or offsets[b] + b.bytes <= offsets[a]
        replaced = any((a, b) in call.shared for call in calls) and last[a] == first[b]
        assert apart or (replaced and offsets[a] == offsets[b])
    assert size == max(offsets[buffer] + buffer.bytes for buffer in first)


def test_a_chain_takes_two_buffers_and_one_where_calls_work_in_place() -> None:
    chain = [Buffer(f"buffer_{i}", 10, torch.float32, ARENA) for i in range(5)]

    def calls(*, in_place: bool) -> list[KernelCall]:
        return [
            KernelCall("f", Struct("t", {}), pair, pair[1:], pair[1].name, "", shared=(pair,) if in_place else ())
            for pair in pairwise(chain)
        ]

    assert plan(calls(in_place=False), [], [])[1] == 80
    assert plan(calls(in_place=True), [], [])[1] == 40
