"""Which parts of a network are binary. Every model takes ``precision`` and keeps its topology."""

from typing import Literal, get_args

Precision = Literal["binary", "binary_activations", "float"]
"""``binary``: weights and activations of the binary layers are signs.

``binary_activations``: only the activations are; step 1 of two-step training.
``float``: neither; the same topology with real weights and ReLU (Real-to-Binary: tanh), to compare with or to learn
from.
Where two of them have a parameter, its name and shape are the same, so that one stage takes the weights of another.
"""

PRECISIONS: tuple[str, ...] = get_args(Precision)


def check_precision(precision: str) -> None:
    """ValueError unless ``precision`` is one of ``PRECISIONS``."""
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(map(repr, PRECISIONS))}, got {precision!r}")
