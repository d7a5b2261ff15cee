"""Which parts of a network are binary: the option ``precision``, which does not change the topology."""

from typing import Literal, get_args

Precision = Literal["binary", "binary_activations", "float"]
"""``binary``: weights and activations of the binary layers are signs.

``binary_activations``: only the activations are; step 1 of two-step training.
``float``: neither; real weights and ReLU (Real-to-Binary: tanh), for comparison or as a teacher.
Parameters that several of them have agree in name and shape, so that one stage takes the weights of another.
"""

PRECISIONS: tuple[str, ...] = get_args(Precision)


def check_precision(precision: str) -> None:
    """ValueError unless ``precision`` is one of ``PRECISIONS``."""
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(map(repr, PRECISIONS))}, got {precision!r}")
