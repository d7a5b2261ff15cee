"""The operators that an ExecuTorch program calls, read from its flatbuffer (ExecuTorch's ``schema/program.fbs``)."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from bittern.runtime.errors import ModelFileError

# Numbers of fields, in the order of the schema.
_PLANS = 1
_PLAN_NAME, _PLAN_CHAINS, _PLAN_OPERATORS = 0, 5, 6
_CHAIN_INSTRUCTIONS = 2
_INSTRUCTION_KIND, _INSTRUCTION_ARGUMENTS = 0, 1
_KERNEL_CALL = 1
"""Of the kinds of instruction."""
_CALL_OPERATOR, _CALL_ARGUMENTS = 0, 1


@dataclass(frozen=True)
class ProgramCall:
    """One call of an operator, such as ``bittern::pack``.

    ``arguments``: the numbers of its values in the program, in the order of its schema, outputs included. What one call
    writes and another reads has one number.
    """

    operator: str
    arguments: tuple[int, ...]


def calls(program: bytes, method: str = "forward") -> tuple[ProgramCall, ...]:
    """The calls of operators in ``method``, in the order of execution.

    Raises:
        ModelFileError: the bytes are not such a program.
    """
    try:
        return tuple(_calls(_Table(program, _offset(program, 0)), method))
    except (struct.error, ValueError, IndexError) as error:
        raise ModelFileError(f"the program's list of operators cannot be read: {error}") from error


def _calls(root: "_Table", method: str) -> Iterator[ProgramCall]:
    plan = next(plan for plan in root.tables(_PLANS) if plan.text(_PLAN_NAME) == method)
    names = [operator.text(0) for operator in plan.tables(_PLAN_OPERATORS)]
    for chain in plan.tables(_PLAN_CHAINS):
        for instruction in chain.tables(_CHAIN_INSTRUCTIONS):
            if instruction.byte(_INSTRUCTION_KIND) == _KERNEL_CALL:
                call = instruction.table(_INSTRUCTION_ARGUMENTS)
                yield ProgramCall(names[call.integer(_CALL_OPERATOR)], call.integers(_CALL_ARGUMENTS))


class _Table:
    """A flatbuffer's table: an offset back to its vtable, which says where each field is, if it is there at all."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data, self._at = data, at
        (back,) = struct.unpack_from("<i", data, at)
        self._vtable = at - back
        if self._vtable < 0:
            raise ValueError(f"the table at byte {at} has no vtable")

    def _field(self, number: int) -> int | None:
        (size,) = struct.unpack_from("<H", self._data, self._vtable)
        place = 4 + 2 * number
        (offset,) = struct.unpack_from("<H", self._data, self._vtable + place) if place < size else (0,)
        return self._at + offset if offset else None

    def byte(self, number: int) -> int:
        at = self._field(number)
        return 0 if at is None else self._data[at]

    def integer(self, number: int) -> int:
        at = self._field(number)
        value = 0 if at is None else int(struct.unpack_from("<i", self._data, at)[0])
        if value < 0:
            raise ValueError(f"the table at byte {self._at} has the index {value}")
        return value

    def table(self, number: int) -> "_Table":
        at = self._field(number)
        if at is None:
            raise ValueError(f"the table at byte {self._at} lacks field {number}")
        return _Table(self._data, _offset(self._data, at))

    def _vector(self, number: int) -> tuple[int, int]:
        """The place of the first item, and the number of items."""
        at = self._field(number)
        if at is None:
            return 0, 0
        start = _offset(self._data, at)
        length = int(struct.unpack_from("<I", self._data, start)[0])
        if length > len(self._data) - start:
            raise ValueError(f"the list at byte {start} is said to have {length} items")
        return start + 4, length

    def integers(self, number: int) -> tuple[int, ...]:
        start, length = self._vector(number)
        return struct.unpack_from(f"<{length}i", self._data, start)

    def text(self, number: int) -> str:
        start, length = self._vector(number)
        return self._data[start : start + length].decode()

    def tables(self, number: int) -> Iterator["_Table"]:
        start, length = self._vector(number)
        return (_Table(self._data, _offset(self._data, start + 4 * i)) for i in range(length))


def _offset(data: bytes, at: int) -> int:
    """Where the offset at ``at`` points."""
    return at + int(struct.unpack_from("<I", data, at)[0])
