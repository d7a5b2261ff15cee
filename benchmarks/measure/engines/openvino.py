"""OpenVINO's CPU plugin, tuned for latency, float32 where the model is float32."""

import functools
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from openvino import opset8

from benchmarks.measure.engines.timed import Timed, TimedFunction, overhead


def ready() -> None:
    _overhead()


def load(path: Path, threads: int, options: dict[str, Any]) -> Timed:
    return TimedFunction(_call(ov.Core().read_model(path), threads), _overhead())


def _call(model: Any, threads: int) -> Any:
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "INFERENCE_PRECISION_HINT": "f32",
        "ENABLE_CPU_PINNING": False,
    }
    request = ov.Core().compile_model(model, "CPU", settings).create_infer_request()
    random = np.random.default_rng(0)
    for i, node in enumerate(model.inputs):
        shape = list(node.shape)
        floats = "f32" in str(node.element_type) or "float32" in str(node.element_type)
        array = random.standard_normal(shape, np.float32) if floats else random.integers(0, 255, shape).astype(np.uint8)
        request.set_input_tensor(i, ov.Tensor(array, shared_memory=False))
    # The class below InferRequest: its `infer` copies neither inputs nor outputs.
    direct: Any = type(request).__mro__[1]
    return functools.partial(direct.infer, request, {}, True, False)


@functools.cache
def _overhead() -> float:
    x = opset8.parameter([16], np.float32)
    return overhead(_call(ov.Model([opset8.relu(x)], [x]), 1))
