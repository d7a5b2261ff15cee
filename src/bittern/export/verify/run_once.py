"""Does a program run, and does it compute what the module does? Checked where that is not certain, before the file is
written.

ExecuTorch's own kernels are not complete: some operators have none, some take only one order of memory, some crash, and
some compute along another dimension of an image in channels_last, as XNNPACK's softmax does. And XNNPACK refuses some
int8 layers and shapes only when it runs.
"""

import tempfile
from pathlib import Path

import numpy as np

from bittern import runtime
from bittern.export.deployed import Deployed
from bittern.export.errors import ExportError
from bittern.export.explain import Explanation, Placement
from bittern.export.verify import compare

_MAX_CHARACTERS = 300  # of the engine's message
_ALONG_A_DIMENSION = ("aten::softmax", "aten::log_softmax")


def uncertain(explanation: Explanation) -> list[Placement]:
    """The nodes for which even a program of float32 and fixed batch has to be tried."""
    return [row for row in explanation.rows if row.runs == "fallback" or row.operator in _ALONG_A_DIMENSION]


def check_runs(data: bytes, deployed: Deployed, explanation: Explanation) -> None:
    """Runs the file ``data`` in a process of its own, if the engine is built here, and compares it with the module.

    The images are random: one, or two of a dynamic batch. The output of int8 layers is not compared, as it is rounded.

    Raises:
        ExportError: it does not run, or computes something else; the message names the nodes that are in ExecuTorch's
            own kernels.
    """
    captured, int8 = deployed.captured, deployed.int8
    dynamic = captured.max_batch is not None
    count = min(captured.input_shape[0], 2) if dynamic else 1
    images = np.random.default_rng(0).standard_normal((count, *captured.input_shape[1:]), np.float32)
    try:
        runtime.supported_isas()
    except ImportError:
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.pte")
        path.write_bytes(data)
        plain = not int8 and not dynamic
        try:
            results = runtime.run_in_process(path, images, trace=not int8)
        except RuntimeError as error:
            rows = explanation.fallbacks
            named = [row for row in rows if row.kernel in str(error)] or rows
            message = str(error).replace(str(path), "the file")[:_MAX_CHARACTERS]
            where = ", ".join(f"{row.kernel} in {row.path or 'the model itself'}" for row in named[:5])
            raise ExportError(
                f"the engine cannot run {where or 'the program'}: {_way_out(plain)}. It said: {message}"
            ) from error
        if int8:
            return
        found = compare(captured, deployed if captured.rounds else None, runtime.load(path), images, results)
        if not found.passed:
            rows = uncertain(explanation)[:5]
            where = ", ".join(f"{row.operator} in {row.path or 'the model itself'}" for row in rows)
            raise ExportError(
                "the engine does not compute what the module does: outputs differ by up to "
                f"{found.largest_logit_difference:.4g}. ExecuTorch's {where or 'views of images'} may not follow "
                f"channels_last, the order of memory of images: {_way_out(plain)}"
            )


def _way_out(plain: bool) -> str:
    if not plain:
        return "export without int8 and without a dynamic batch, which leaves more to XNNPACK"
    return "use operators that XNNPACK takes (convolutions, linear layers, pooling, arithmetic, ReLU and its like)"
