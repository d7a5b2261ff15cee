"""The ExecuTorch back end: a deployed graph becomes a `.pte` file.

A back end is a folder with two functions, each from one frozen value to the next:

    lower(deployed) -> Lowered       `placements`: what runs where; `operators`: the calls that `verify` compares
    write(lowered, card) -> bytes    the program, which carries the metadata ``card``

`verify` needs nothing else of it than an engine that gives the outputs of ``operators`` in their order. What only one
back end can do stays in its folder: here, `quantize`.
"""

from bittern.export.executorch.lower import INT8 as INT8
from bittern.export.executorch.lower import Lowered as Lowered
from bittern.export.executorch.lower import lower as lower
from bittern.export.executorch.lower import write as write
from bittern.export.executorch.quantize import check_calibration as check_calibration
from bittern.export.executorch.quantize import quantize as quantize
