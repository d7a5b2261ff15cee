"""Values inside a running engine, by module path."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bittern._lookup import find
from bittern.runtime.bits import WORD_BITS, unpack_signs
from bittern.runtime.metadata import Operator

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class TracedCall:
    """A call of one of Bittern's operators: inputs and outputs, and the numbers of both in the program."""

    operator: Operator
    inputs: Sequence[Any]
    outputs: Sequence[Array]
    values: Sequence[int]

    @property
    def written(self) -> Sequence[int]:
        """The numbers of the outputs."""
        return self.values[len(self.inputs) : len(self.inputs) + len(self.outputs)]


def tapped(calls: Sequence[TracedCall], paths: Iterable[str]) -> dict[str, Array]:
    """What left each of ``paths``: the result of the last of its operators, as floats if it gives both.

    Args:
        calls: in the order in which they run.

    Returns:
        float32, or int8 of -1 and +1 where only bits leave: images ``[N, C, H, W]``, or rows ``[..., C]``.

    Raises:
        ValueError: a path at which no operator of Bittern runs; the message names those at which one does.
    """
    last = {call.operator.path: i for i, call in enumerate(calls)}
    return {path: _value(calls, find("path of an operator", path, last)) for path in paths}


def _value(calls: Sequence[TracedCall], index: int) -> Array:
    output = calls[index].outputs[0]
    if output.dtype != np.int32:
        return output
    signs = unpack_signs(output, _channels(calls, index))
    return np.ascontiguousarray(np.moveaxis(signs, -1, 1)) if signs.ndim == 4 else signs


def _channels(calls: Sequence[TracedCall], index: int) -> int:
    """Of the bits that a call wrote. Packed tensors do not hold it: it is that of the layers that wrote the bits."""
    call = calls[index]
    if call.operator.op == "pack":
        return int(call.inputs[0].shape[call.inputs[2]])
    if call.operator.op.startswith(("conv2d", "linear")):
        return int(call.inputs[3])
    sources = [_writer(calls, call.values[place]) for place in call.operator.activations]
    if call.operator.op == "slice" or None in sources:
        return int(call.outputs[-1].shape[-1]) * WORD_BITS  # whole words, as far as is known
    return sum(_channels(calls, source) for source in sources if source is not None)


def _writer(calls: Sequence[TracedCall], value: int) -> int | None:
    """Which call wrote a value; None if it is none of Bittern's operators."""
    return next((i for i, call in enumerate(calls) if value in call.written), None)
