"""Calls that find faults: `corpus` for every input of a network, and values of the example for what is no image.

Integers are drawn from the range of the example's, as a token must be in its table; what is not batched is the
example's own. A network of other inputs than one of floats is also called with the example itself.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from bittern.export.capture import Captured
from bittern.export.verify import corpus
from bittern.runtime.signature import TensorSpec

EXAMPLE = "example"
Arrays = tuple[np.ndarray, ...]


def kinds_of(captured: Captured) -> tuple[str, ...]:
    return (*corpus.KINDS, *(() if _is_simple(captured) else (EXAMPLE,)))


def call(captured: Captured, kind: str, count: int) -> Arrays:
    """The inputs for ``count`` images of one kind; the first ones are the same for every count."""
    made = enumerate(zip(captured.signature.inputs, captured.inputs, strict=True))
    return tuple(_input(spec, example, kind, count, position) for position, (spec, example) in made)


def mixed(captured: Captured, count: int) -> tuple[Arrays, tuple[str, ...]]:
    """The inputs for ``count`` images of all kinds in turn, and the kind of each."""
    kinds = kinds_of(captured)
    each = {kind: call(captured, kind, -(-count // len(kinds))) for kind in kinds}
    order = [(kinds[i % len(kinds)], i // len(kinds)) for i in range(count)]
    arrays = tuple(
        np.stack([each[kind][position][i] for kind, i in order]) if spec.batched else each[kinds[0]][position]
        for position, spec in enumerate(captured.signature.inputs)
    )
    return arrays, tuple(kind for kind, _ in order)


def tensors(arrays: Sequence[np.ndarray]) -> tuple[Tensor, ...]:
    return tuple(torch.from_numpy(np.ascontiguousarray(array) if array.ndim else array) for array in arrays)


def _is_simple(captured: Captured) -> bool:
    return len(captured.inputs) == 1 and captured.signature.inputs[0].dtype == "float32"


def _input(spec: TensorSpec, example: Tensor, kind: str, count: int, position: int) -> np.ndarray:
    own: np.ndarray = example.numpy()
    if not spec.batched:
        return own
    if kind == EXAMPLE:
        return own[np.arange(count) % len(own)]
    if spec.dtype == "float32":
        return corpus.images(kind, count, spec.shape[1:], position)
    random = np.random.default_rng([list(corpus.KINDS).index(kind), position])
    low, high = int(own.min()), int(own.max())
    return random.integers(low, high, (count, *spec.shape[1:]), endpoint=True).astype(spec.dtype)
