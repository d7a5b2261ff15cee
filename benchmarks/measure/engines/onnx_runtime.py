"""ONNX Runtime: all graph optimisations, operands bound once."""

import functools
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper

from benchmarks.measure.engines.timed import Timed, TimedFunction, overhead


def ready() -> None:
    _overhead()


def load(path: Path, threads: int, options: dict[str, Any]) -> Timed:
    return TimedFunction(_call(path.read_bytes(), threads), _overhead())


def _call(model: bytes, threads: int) -> Any:
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.inter_op_num_threads = 1
    settings.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    settings.add_session_config_entry("session.force_spinning_stop", "1")  # between calls, for the engines after it
    session = ort.InferenceSession(model, settings, providers=["CPUExecutionProvider"])
    binding, random = session.io_binding(), np.random.default_rng(0)
    for node in session.get_inputs():
        array = random.integers(0, 255, node.shape).astype(np.uint8)
        if "float" in node.type:
            array = random.standard_normal(node.shape, np.float32)
        binding.bind_ortvalue_input(node.name, ort.OrtValue.ortvalue_from_numpy(array))
    for node in session.get_outputs():
        dtype = np.float32 if "float" in node.type else np.uint8
        binding.bind_ortvalue_output(node.name, ort.OrtValue.ortvalue_from_shape_and_type(node.shape, dtype))
    return functools.partial(session.run_with_iobinding, binding)


@functools.cache
def _overhead() -> float:
    value = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [16]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "empty", value[:1], value[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return overhead(_call(model.SerializeToString(), 1))
