"""Run exported models with numpy and the native engine, without torch.

>>> engine = bittern.runtime.load("net.pte")
>>> logits = engine(images)  # float32 [N, C, H, W]

The package also imports without the native extension, for tools that only read or write files; functions that run
programs load it on first use.
"""

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bittern._image_geometry import ImageGeometry
from bittern._preprocessing import Preprocessing
from bittern.runtime.errors import ModelFileError
from bittern.runtime.metadata import Metadata, Operator
from bittern.runtime.preprocess import preprocess, read_pixels
from bittern.runtime.timing import Timing, interleaved
from bittern.runtime.weights import BinaryWeights

if TYPE_CHECKING:
    from bittern.runtime.child_process import Results, run_in_process
    from bittern.runtime.engine import Engine, NodeTime, OperatorCall, load
    from bittern.runtime.isolated import IsolatedEngine

_NATIVE = {
    **dict.fromkeys(("Engine", "NodeTime", "OperatorCall", "load"), "bittern.runtime.engine"),
    **dict.fromkeys(("Results", "run_in_process"), "bittern.runtime.child_process"),
    "IsolatedEngine": "bittern.runtime.isolated",
}
"""Names whose modules need the native extension."""

__all__ = [
    "BinaryWeights",
    "Engine",
    "ImageGeometry",
    "IsolatedEngine",
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
    "read_pixels",
    "run_in_process",
    "supported_isas",
]


def isa() -> str:
    """The instruction set that the kernels use, such as "portable" or "avx2": the fastest, or that of BITTERN_ISA.

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
    """A native kernel of convolutions and linear layers, and the layers that it is chosen for.

    ``tile_pixels`` x ``tile_filters``: outputs whose counters it keeps in registers. ``min_pixels``, ``min_filters``
    and ``min_words`` (32-bit words of a filter): measured; smaller layers are faster with the next kernel. ``needs``:
    other conditions on a layer, in words; empty for the last kernel.
    """

    name: str
    tile_pixels: int
    tile_filters: int
    min_pixels: int
    min_filters: int
    min_words: int
    needs: str


def kernels() -> tuple[Kernel, ...]:
    """The kernels for convolutions and linear layers on this machine; a layer runs on the first that is for it.

    Raises:
        ValueError: BITTERN_ISA names a set that is unknown or that this CPU lacks.
    """
    return tuple(Kernel(*row) for row in _native().kernels())


def __getattr__(name: str) -> Any:
    if name in _NATIVE:
        _native()
        return getattr(importlib.import_module(_NATIVE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _native() -> Any:
    try:
        return importlib.import_module("bittern.runtime._engine")
    except ModuleNotFoundError as error:
        if error.name != "bittern.runtime._engine":
            raise
        raise ImportError(
            "the native engine of Bittern is not built: run pip install . (it needs a C++17 compiler)"
        ) from error
