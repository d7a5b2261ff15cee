"""The process in which the test binding runs under AddressSanitizer and UndefinedBehaviorSanitizer.

Reads pickled requests ``(function, arguments, keywords)`` from stdin, each after its length, and answers on stdout with
``("ok", result)`` or ``("error", type name, message)``. Torch is never imported here.
"""

import pickle
import struct
import sys
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

LENGTH = struct.Struct("<Q")


def main(folder: str) -> None:
    sys.path.insert(0, folder)
    import _bittern_native_tests as native

    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    while header := requests.read(LENGTH.size):
        function, arguments, keywords = pickle.loads(requests.read(LENGTH.unpack(header)[0]))
        try:
            if function == "call_operators":
                result = call_operators(native, *arguments, **keywords)
            else:
                result = getattr(native, function)(*arguments, **keywords)
            answer: tuple[Any, ...] = ("ok", result)
        except Exception as error:
            answer = ("error", type(error).__name__, str(error))
        data = pickle.dumps(answer)
        answers.write(LENGTH.pack(len(data)) + data)
        answers.flush()


@dataclass(frozen=True)
class Strided:
    """A dense array and its order of memory, which pickle would not keep."""

    flat: NDArray[Any]
    shape: tuple[int, ...]
    order: list[int]
    """Dimensions from the outermost in memory to the innermost; among equal strides, the first one first."""

    @staticmethod
    def of(x: NDArray[Any]) -> "Strided":
        order = sorted(range(x.ndim), key=lambda d: (-x.strides[d], d))
        return Strided(np.ascontiguousarray(x.transpose(order)).reshape(-1), x.shape, order)

    def array(self) -> NDArray[Any]:
        return self.flat.reshape([self.shape[d] for d in self.order]).transpose(np.argsort(self.order))


def call_operators(
    native: Any, requests: list[tuple[str, list[object], list[Strided]]], threads: list[int]
) -> list[list[Strided]]:
    """Returns what is in the outputs of each request ``(operator, inputs, outputs)`` after the calls, in order.

    An output that is an input too is one tensor.
    """
    inputs: dict[int, Any] = {}

    def tensor(x: Strided) -> Any:
        return native.tensor(x.flat, list(x.shape), x.order)

    def argument(x: object) -> Any:
        if not isinstance(x, Strided):
            return x
        if id(x) not in inputs:
            inputs[id(x)] = tensor(x)
        return inputs[id(x)]

    answers = []
    for (name, arguments, outputs), count in zip(requests, threads, strict=True):
        values = [*map(argument, arguments)]
        results = [inputs[id(x)] if id(x) in inputs else tensor(x) for x in outputs]
        native.call_operator(name, [*values, *results], threads=count)
        answers.append([replace(x, flat=result.to_numpy()) for x, result in zip(outputs, results, strict=True)])
    return answers


if __name__ == "__main__":
    # As a module, so that requests can name its classes.
    from native import sanitized_process

    sanitized_process.main(sys.argv[1])
