"""Networks in ONNX and QONNX, the field's exchange format for quantized networks, operation by operation.

What depends on no input is computed while reading, so that weights are numbers whichever operations quantize them.
"""

from pathlib import Path

from torch import Tensor

from bittern._fields import short
from bittern.importers.errors import CheckpointError
from bittern.importers.graph_builder import GraphBuilder
from bittern.importers.onnx_call import OnnxCall, Operand
from bittern.importers.onnx_constants import CONSTANT_OPERATORS
from bittern.importers.onnx_convert import CONVERTERS
from bittern.importers.onnx_file import OnnxFile, OnnxNode, read_file
from bittern.importers.own_network import OwnNetwork
from bittern.models.graph import INPUT

MAX_CONSTANTS = 2**28
"""Numbers that operations on constants may give, together."""


def read_onnx(path: Path) -> OwnNetwork:
    """The network in ``path``.

    Raises:
        CheckpointError: the file is damaged, or has an operation that is not imported, which is named.
        OSError: it cannot be read.
        ModuleNotFoundError: onnx is not installed.
    """
    file = read_file(path)
    graph = GraphBuilder(_image(file.shape))
    walk = _Walk(file, graph)
    output = walk.run()
    read = {name for node in file.nodes for name in node.inputs}
    return OwnNetwork(file.name, "ONNX", graph.finish(output), len(read & file.constants.keys()))


def _image(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Rows are images of one pixel, images without channels have one."""
    match shape:
        case (features,):
            return features, 1, 1
        case (height, width):
            return 1, height, width
        case (channels, height, width):
            return channels, height, width
    raise AssertionError(shape)


class _Walk:
    def __init__(self, file: OnnxFile, graph: GraphBuilder) -> None:
        self._file, self._graph = file, graph
        self._values: dict[str, Operand] = dict(file.constants)
        source = INPUT
        if len(file.shape) < 3:
            source = graph.add("rows", "reshape", INPUT, shape=file.shape)
        self._values[file.source] = source
        self._computed = 0

    def run(self) -> str:
        for node in self._file.nodes:
            results = self._results(node)
            for name, value in zip(node.outputs, results, strict=False):
                if name in self._values:
                    raise CheckpointError(f"two operations give {short(name)}: the file is damaged")
                self._values[name] = value
        output = self._values.get(self._file.output)
        if not isinstance(output, str):
            raise CheckpointError(
                f"the output {short(self._file.output)} depends on no input, or no operation gives it"
            )
        return output

    def _results(self, node: OnnxNode) -> list[Operand]:
        unknown = [name for name in node.inputs if name and name not in self._values]
        if unknown:
            raise CheckpointError(f"{node.kind} {node.name!r} reads {short(unknown[0])}, which no earlier one gives")
        inputs = tuple(self._values[name] if name else None for name in node.inputs)
        call = OnnxCall(self._graph, node, inputs)
        live = [value for value in inputs if isinstance(value, str)]
        try:
            if not live and node.kind in CONSTANT_OPERATORS:
                return [self._constant(call)]
            if node.kind not in CONVERTERS:
                known = ", ".join(sorted(CONVERTERS))
                raise CheckpointError(
                    f"{node.kind} {node.name!r} is not one of the operations that are imported: {known}; for others, "
                    "export the PyTorch module with bittern.export.to_pte"
                )
            if len([name for name in node.outputs if name]) != 1 and node.kind not in ("BatchNormalization", "Dropout"):
                raise call.error(f"gives {len(node.outputs)} results, one is imported")
            return [CONVERTERS[node.kind](call)]
        except CheckpointError:
            raise
        except (ValueError, TypeError, RuntimeError, IndexError, OverflowError) as error:
            raise call.error(f"is damaged: {error}") from error

    def _constant(self, call: OnnxCall) -> Tensor:
        value = CONSTANT_OPERATORS[call.node.kind](call)
        self._computed += value.numel()
        if self._computed > MAX_CONSTANTS:
            raise call.error(f"and those before it make more than {MAX_CONSTANTS} numbers of constants")
        return value
