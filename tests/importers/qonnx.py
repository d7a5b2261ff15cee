"""QONNX files made with ``onnx.helper``, and what ONNX's reference evaluator computes for them."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

onnx = pytest.importorskip("onnx", reason="pip install 'bittern[import]' for the tests of ONNX files")

from onnx import helper, numpy_helper  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402
from onnx.reference.op_run import OpRun  # noqa: E402

DOMAIN = "qonnx.custom_op.general"

Array = npt.NDArray[Any]


class BipolarQuant(OpRun):  # type: ignore[misc]
    op_domain = DOMAIN

    def _run(self, x: Array, scale: Array) -> tuple[Array]:
        return (np.where(x >= 0, np.float32(1), np.float32(-1)) * scale,)


class Quant(OpRun):  # type: ignore[misc]
    op_domain = DOMAIN

    def _run(
        self,
        x: Array,
        scale: Array,
        zero: Array,
        bits: Array,
        signed: int = 1,
        narrow: int = 0,
        rounding_mode: str = "ROUND",
    ) -> tuple[Array]:
        count = 2 ** int(bits)
        low = -count // 2 + narrow if signed else 0
        high = count // 2 - 1 if signed else count - 1 - narrow
        levels = {"ROUND": np.round, "FLOOR": np.floor, "CEIL": np.ceil}[rounding_mode](x / scale + zero)
        return ((np.clip(levels, low, high) - zero) * scale,)


class Net:
    """Nodes and constants, added one after another; ``add`` returns the name of the result."""

    def __init__(self, *shape: int | str) -> None:
        self.input = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, values: Any) -> str:
        array = np.asarray(values)
        array = array.astype(np.float32) if array.dtype.kind == "f" else array.astype(np.int64)
        self.constants.append(numpy_helper.from_array(array, f"c{len(self.constants)}"))
        return str(self.constants[-1].name)

    def add(self, kind: str, *inputs: Any, **attributes: Any) -> str:
        """Inputs that are no names become constants; None is left out."""
        names = [each if isinstance(each, str) else "" if each is None else self.constant(each) for each in inputs]
        domain = DOMAIN if "Quant" in kind else ""
        output = f"y{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, names, [output], f"{kind}_{output}", domain=domain, **attributes))
        return output

    def bipolar(self, x: Any, scale: Any = 1.0) -> str:
        return self.add("BipolarQuant", x, scale)

    def model(self) -> Any:
        output = helper.make_tensor_value_info(self.nodes[-1].output[0], onnx.TensorProto.FLOAT, None)
        graph = helper.make_graph(self.nodes, "net", [self.input], [output], self.constants)
        versions = [helper.make_opsetid("", 15), helper.make_opsetid(DOMAIN, 1)]
        return helper.make_model(graph, opset_imports=versions, ir_version=8)

    def write(self, path: Path) -> Path:
        path.write_bytes(self.model().SerializeToString())
        return path

    def run(self, x: Array) -> Array:
        """One image at a time, as the file says."""
        evaluator = ReferenceEvaluator(self.model(), new_ops=[BipolarQuant, Quant])
        return np.concatenate([evaluator.run(None, {"x": each[None]})[0] for each in x])
