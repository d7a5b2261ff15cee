"""Values inside a running engine, by module path."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bittern._lookup import find
from bittern.runtime.bits import WORD_BITS, unpack_signs
from bittern.runtime.metadata import Operator

Array = npt.NDArray[Any]


def tapped(
    operators: Sequence[Operator], calls: Sequence[tuple[Sequence[Any], Sequence[Array]]], paths: Iterable[str]
) -> dict[str, Array]:
    """What left each of ``paths``: the result of the last of its operators, as floats if it gives both.

    Args:
        calls: inputs and outputs of each operator, in the order in which they run.

    Returns:
        float32, or int8 of -1 and +1 where only bits leave: images ``[N, C, H, W]``, or rows ``[..., C]``.

    Raises:
        ValueError: a path at which no operator of Bittern runs; the message names those at which one does.
    """
    last = {operator.path: i for i, operator in enumerate(operators)}
    channels = _Channels(operators, calls)
    return {path: channels.value(find("path of an operator", path, last)) for path in paths}


class _Channels:
    """Numbers of channels, which packed tensors do not hold: they are those of the layers that wrote the bits."""

    def __init__(self, operators: Sequence[Operator], calls: Sequence[tuple[Sequence[Any], Sequence[Array]]]) -> None:
        self._operators, self._calls = operators, calls

    def value(self, index: int) -> Array:
        output = self._calls[index][1][0]
        if output.dtype != np.int32:
            return output
        signs = unpack_signs(output, self._count(index))
        return np.ascontiguousarray(np.moveaxis(signs, -1, 1)) if signs.ndim == 4 else signs

    def _count(self, index: int) -> int:
        """Channels of the bits that operator ``index`` wrote."""
        op, inputs = self._operators[index].op, self._calls[index][0]
        if op == "pack":
            return int(inputs[0].shape[inputs[2]])
        if op.startswith(("conv2d", "linear")):
            return int(inputs[3])
        counts = [self._source(index, inputs[i]) for i in self._operators[index].activations]
        if op == "slice" or None in counts:
            return int(self._calls[index][1][-1].shape[-1]) * WORD_BITS  # whole words, as far as is known
        return sum(count for count in counts if count is not None)

    def _source(self, index: int, words: Array) -> int | None:
        """Channels of what operator ``index`` reads."""
        for other in range(index - 1, -1, -1):
            written = self._calls[other][1][-1]
            if written.dtype == words.dtype and np.array_equal(written, words):
                return self._count(other)
        return None
