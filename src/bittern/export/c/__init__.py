"""The C back end: a deployed graph becomes C99 that calls kernels, without interpreter, file format or allocation.

    lower(deployed) -> CNetwork            calls of kernels, and a plan of the arena   lower.py, operators/, arena.py
    files(network, card) -> {name: text}   what a folder holds                         write.py, text.py, templates/
    run(folder, ...) -> CRun               compiled here, with all that it computes    run.py

`Reference` is the specification of all of it: PyTorch with every float rounded as the kernels round it. `to_c` runs all
steps; `verify_folder` proves a folder that is there.
"""

from bittern.export.c.to_c import CExport as CExport
from bittern.export.c.to_c import to_c as to_c
from bittern.export.c.verify import verify_folder as verify_folder
