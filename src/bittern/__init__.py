"""Binary neural networks: train in PyTorch, export to ExecuTorch, run bit-packed.

Subpackages load on first use, so that ``import bittern`` is fast and ``bittern.runtime`` never needs torch.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_SUBPACKAGES = ("data", "export", "models", "nn", "ops", "optim", "runtime", "study", "train")
__all__ = ["__version__", *_SUBPACKAGES]


def __getattr__(name: str) -> Any:
    if name in _SUBPACKAGES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
