"""Run exported models: numpy and the native engine, no torch.

>>> engine = bittern.runtime.load("net.pte")
>>> logits = engine(images)  # float32 [N, C, H, W]

This part imports without the native extension, too, for tools that only read or write files; what runs programs loads
it when first used.
"""

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bittern._preprocessing import Preprocessing
from bittern.runtime.errors import ModelFileError
from bittern.runtime.metadata import Metadata, Operator
from bittern.runtime.preprocess import preprocess
from bittern.runtime.timing import Timing, interleaved

if TYPE_CHECKING:
    from bittern.runtime.engine import Engine, NodeTime, OperatorCall, load
    from bittern.runtime.worker import Results, run_in_process

_ENGINE = ("Engine", "NodeTime", "OperatorCall", "load")
_WORKER = ("Results", "run_in_process")

__all__ = [
    "Engine",
    "Kernel",
    "Metadata",
    "ModelFileError",
    "NodeTime",
    "Operator",
    "OperatorCall",
    "Preprocessing",
    "Results",
    "Timing",
    "interleaved",
    "isa",
    "kernels",
    "load",
    "preprocess",
    "run_in_process",
    "supported_isas",
]


def isa() -> str:
    """The instruction set that the kernels use: "portable", "avx2", "avx512" ..., or what BITTERN_ISA forces.

    Raises:
        ValueError: BITTERN_ISA names a set that is unknown or that this CPU lacks.
    """
    name: str = _native().isa()
    return name


def supported_isas() -> tuple[str, ...]:
    """The values of BITTERN_ISA that this CPU can run, fastest first."""
    return tuple(_native().supported_isas())


@dataclass(frozen=True)
class Kernel:
    """A native kernel of convolutions and linear layers, and the layers that it is for.

    ``tile_pixels`` x ``tile_filters``: outputs whose counters it keeps in registers. ``least_pixels``,
    ``least_filters`` and ``least_words`` (32-bit words of a filter): measured; smaller layers are faster with the next
    kernel. ``needs``: what else a layer must be, in words; empty for the last.
    """

    name: str
    tile_pixels: int
    tile_filters: int
    least_pixels: int
    least_filters: int
    least_words: int
    needs: str


def kernels() -> tuple[Kernel, ...]:
    """The kernels that convolutions and linear layers choose from on this machine: the first one that is for a layer.

    Raises:
        ValueError: BITTERN_ISA names a set that is unknown or that this CPU lacks.
    """
    return tuple(Kernel(*row) for row in _native().kernels())


def __getattr__(name: str) -> Any:
    if name in (*_ENGINE, *_WORKER):
        _native()
        module = "bittern.runtime.engine" if name in _ENGINE else "bittern.runtime.worker"
        return getattr(importlib.import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _native() -> Any:
    try:
        return importlib.import_module("bittern.runtime._engine")
    except ModuleNotFoundError as error:
        if error.name != "bittern.runtime._engine":
            raise
        raise ImportError(
            "the native engine of Bittern is not built here: pip install . (it needs a C++17 compiler)"
        ) from error
