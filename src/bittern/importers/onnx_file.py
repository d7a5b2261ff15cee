"""ONNX files: nodes, constants as tensors, and the shape of the one input. Nothing in the file is trusted."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.numpy_helper
import torch
from torch import Tensor

from bittern._fields import short
from bittern._files import open_file
from bittern.importers.errors import CheckpointError

_MAX_BYTES = 2**31 - 1
"""Protobuf's own limit."""

_FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16)


@dataclass(frozen=True)
class OnnxNode:
    """One operation: ``attributes`` as Python values, ``inputs`` with ``""`` where one is left out."""

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]


@dataclass(frozen=True)
class OnnxFile:
    """``shape``: of the input ``source``, without the batch."""

    name: str
    source: str
    shape: tuple[int, ...]
    output: str
    constants: Mapping[str, Tensor]
    nodes: tuple[OnnxNode, ...]


def read_file(path: Path) -> OnnxFile:
    """Reads ``path``, in which all numbers must be.

    Raises:
        CheckpointError: it is no ONNX file or damaged, it has several inputs or outputs, or open sizes.
        OSError: it cannot be read.
    """
    with open_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > _MAX_BYTES:
            raise CheckpointError(f"{path} has {size} bytes; ONNX files have at most {_MAX_BYTES}")
        content = file.read(size)
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf's, which has several classes for it
        raise CheckpointError(f"{path} is damaged, truncated or no ONNX file: {error}") from error
    graph = model.graph
    if not graph.node:
        raise CheckpointError(f"{path} is no ONNX file, or has no operations")
    constants = {each.name: tensor_of(each, path, each.name) for each in graph.initializer}
    source = _only([each for each in graph.input if each.name not in constants], path, "inputs")
    output = _only(list(graph.output), path, "outputs")
    nodes = tuple(_node(node, path, index) for index, node in enumerate(graph.node))
    return OnnxFile(path.stem, source.name, _shape(source, path), output.name, constants, nodes)


def tensor_of(proto: Any, path: Path, name: str) -> Tensor:
    """Floats as float32, integers as int64; CheckpointError if the tensor is elsewhere, or not as large as it says."""
    if proto.data_location == onnx.TensorProto.EXTERNAL or proto.external_data:
        raise CheckpointError(
            f"{path}: {name} is in another file; save the model in one: onnx.save(onnx.load(FILE), FILE)"
        )
    try:
        if any(size < 0 for size in proto.dims) or prod(proto.dims) > _MAX_BYTES:
            raise ValueError(f"it has the shape {short(list(proto.dims))}")
        array = onnx.numpy_helper.to_array(proto)
        if array.dtype.kind == "f":
            return torch.from_numpy(array.astype(np.float32))
        if array.dtype.kind in "iub":
            return torch.from_numpy(array.astype(np.int64))
        raise ValueError(f"its type is {array.dtype}")
    except Exception as error:  # whatever numpy says to a damaged tensor
        raise CheckpointError(f"{path}: {name} is damaged, or of a type that is not imported: {error}") from error


def _only(found: list[Any], path: Path, what: str) -> Any:
    if len(found) != 1:
        names = ", ".join(each.name for each in found[:5])
        raise CheckpointError(f"{path} has {len(found)} {what} ({names}); networks with one of each are imported")
    return found[0]


def _shape(source: Any, path: Path) -> tuple[int, ...]:
    kind = source.type.tensor_type
    sizes = [dim.dim_value if dim.HasField("dim_value") else 0 for dim in kind.shape.dim]
    if not 2 <= len(sizes) <= 4 or min(sizes[1:]) < 1:
        raise CheckpointError(
            f"{path}: the input {source.name!r} has the shape {sizes} (0 is an open size); images [N, C, H, W] or "
            "[N, H, W], and rows [N, features], of fixed sizes are imported: export with an example of the size"
        )
    if sizes[0] > 1:
        raise CheckpointError(f"{path}: the input takes {sizes[0]} images at once; export with a batch of 1")
    if kind.elem_type not in _FLOATS:
        name = onnx.TensorProto.DataType.Name(kind.elem_type) if kind.elem_type in range(1, 24) else kind.elem_type
        raise CheckpointError(f"{path}: the input {source.name!r} is {name}; floats are imported")
    return tuple(sizes[1:])


def _node(node: Any, path: Path, index: int) -> OnnxNode:
    name = node.name or (node.output[0] if node.output else "") or f"node_{index}"
    attributes = {each.name: _attribute(each, path, name) for each in node.attribute}
    return OnnxNode(node.op_type, name, tuple(node.input), tuple(node.output), attributes)


def _attribute(attribute: Any, path: Path, name: str) -> Any:
    if attribute.type == onnx.AttributeProto.TENSOR:
        return tensor_of(attribute.t, path, f"{attribute.name} of {name}")
    if attribute.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS):
        return None  # of If and Loop, which are not imported
    try:
        value = onnx.helper.get_attribute_value(attribute)
    except ValueError as error:
        raise CheckpointError(f"{path}: {attribute.name} of {name} is damaged: {error}") from error
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return value if isinstance(value, int | float) else list(value)
