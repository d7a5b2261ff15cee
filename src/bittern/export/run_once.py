"""Does a program run at all? Asked where it is not certain: whoever exports wants to know before the file is deployed.

ExecuTorch's own kernels are not complete: some operators have none, some take only one order of memory, some crash. And
XNNPACK refuses some int8 layers and shapes only when it runs.
"""

import tempfile
from pathlib import Path

import numpy as np

from bittern import runtime
from bittern.export.errors import ExportError
from bittern.export.explain import Explanation

_LONGEST = 300  # characters of the engine's message


def check_runs(data: bytes, images: np.ndarray, explanation: Explanation, *, plain: bool) -> None:
    """Runs the file ``data`` on ``images`` in a process of its own, if the engine is built here.

    Args:
        plain: neither int8 nor of dynamic batch.

    Raises:
        ExportError: it does not run; the message names the nodes that are in ExecuTorch's own kernels.
    """
    try:
        runtime.supported_isas()
    except ImportError:
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.pte")
        path.write_bytes(data)
        try:
            runtime.run_in_process(path, images)
        except RuntimeError as error:
            rows = explanation.fallbacks
            named = [row for row in rows if row.kernel in str(error)] or rows
            where = ", ".join(f"{row.kernel} in {row.path or 'the model itself'}" for row in named[:5])
            message = str(error).replace(str(path), "the file")[:_LONGEST]
            raise ExportError(
                f"the engine cannot run {where or 'the program'}: {_way_out(plain)}. It said: {message}"
            ) from error


def _way_out(plain: bool) -> str:
    if not plain:
        return "export without int8 and without a dynamic batch, which leaves more to XNNPACK"
    return "use operators that XNNPACK takes (convolutions, linear layers, pooling, arithmetic, ReLU and its like)"
