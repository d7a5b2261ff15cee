"""Any network of standard Keras 2 and Larq layers, from a file with its configuration."""

from collections.abc import Iterator

from torch import Tensor

from bittern._fields import short
from bittern.importers.errors import CheckpointError
from bittern.importers.graph_builder import GraphBuilder
from bittern.importers.keras_call import LayerCall, Traced, flattened, settled
from bittern.importers.keras_config import (
    MAX_CALLS,
    NETWORKS,
    Described,
    Plan,
    PlannedCall,
    parse_config,
    plan,
    reference,
)
from bittern.importers.keras_convert import CONVERTERS
from bittern.importers.own_network import OwnNetwork
from bittern.importers.tensor_file import TensorFile
from bittern.models.graph import INPUT

_WAY_OUT = (
    "; build the same network of standard layers, load the weights into it with load_weights and save it, or write it "
    "in PyTorch (docs/export.md)"
)


def read_network(file: TensorFile) -> OwnNetwork:
    """The network that ``file.config`` describes, with its weights.

    Raises:
        CheckpointError: the configuration is damaged, or has a layer that is not a standard one, which is named; a
            tensor is missing, surplus or misshapen.
    """
    assert file.config is not None
    described = parse_config(file.config)
    first = plan(described)
    if first.input_shape is None:
        raise CheckpointError(
            f"model {described.name!r} does not say the shape of its input: call model.build((None, H, W, C)) on one "
            "that begins with a layer with input_shape, or with keras.Input, and save it again"
        )
    height, width, channels = _image(first.input_shape)
    walk = _Walk(file, GraphBuilder((channels, height, width)))
    source = Traced(INPUT)
    if len(first.input_shape) == 1:
        source = flattened(walk.graph, "rows", source)
    output = walk.run(described, first, source, "")
    walk.check_all_used()
    network = walk.graph.finish(settled(walk.graph, output))
    return OwnNetwork(described.name, "Keras", network, len(file.tensors))


def _image(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Rows are images of one pixel, images without channels have one."""
    match shape:
        case (features,):
            return 1, 1, features
        case (height, width):
            return height, width, 1
        case (height, width, channels):
            return height, width, channels
    raise AssertionError(shape)


class _Walk:
    """Converts the calls of a network, and of those in it, in their order."""

    def __init__(self, file: TensorFile, graph: GraphBuilder) -> None:
        self.graph = graph
        self._file = file
        self._calls = 0
        self._used: dict[str, tuple[str, str]] = {}

    def run(self, network: Described, order: Plan, source: Traced, scope: str, depth: int = 0) -> Traced:
        """``scope``: the layer of the outermost network that holds this one, under which its weights are stored."""
        values = {order.source: source}
        by_name = {call.layer.name: call.layer for call in order.calls}
        by_name.setdefault(order.source[0], Described("InputLayer", order.source[0], {}))
        for call in order.calls:
            more = tuple(
                values[reference(value, by_name)] for value in call.arguments.values() if isinstance(value, list)
            )
            inputs = (*(values[name] for name in call.inputs), *more)
            values[call.layer.name, call.index] = self._convert(call, inputs, scope, depth)
        return values[order.output]

    def _convert(self, call: PlannedCall, inputs: tuple[Traced, ...], scope: str, depth: int) -> Traced:
        layer, where = call.layer, scope or call.layer.name
        self._calls += 1
        if self._calls > MAX_CALLS:  # models in models that call each other often multiply
            raise CheckpointError(f"the network has more than {MAX_CALLS} calls of layers")
        if layer.kind in NETWORKS:
            if len(inputs) != 1:
                raise CheckpointError(f"model {layer.name!r} is called on {len(inputs)} inputs, one is imported")
            return self.run(layer, plan(layer, depth + 1), inputs[0], where, depth + 1)
        if layer.kind not in CONVERTERS:
            raise CheckpointError(
                f"layer {layer.name!r} is a {short(layer.kind)}, which is not one of the layers that are imported: "
                f"{', '.join(sorted(CONVERTERS))}{_WAY_OUT}"
            )
        if call.arguments and layer.kind != "TFOpLambda":
            raise CheckpointError(f"layer {layer.name!r} is called with {short(dict(call.arguments))}{_WAY_OUT}")
        ranks = {len(self.graph.shape(value.name)) for value in inputs}
        if len(ranks) > 1:
            raise CheckpointError(f"layer {layer.name!r} joins images and rows; give them the same rank{_WAY_OUT}")

        def weight(name: str, shape: tuple[int, ...]) -> Tensor:
            return self._weight(layer, where, name, shape)

        try:
            return CONVERTERS[layer.kind](
                LayerCall(self.graph, layer.kind, layer.name, layer.config, inputs, call.arguments, weight)
            )
        except CheckpointError:
            raise
        except ValueError as error:  # an entry of the configuration
            raise CheckpointError(str(error)) from error

    def _weight(self, layer: Described, where: str, name: str, shape: tuple[int, ...]) -> Tensor:
        keys = (f"{where}/{layer.name}/{name}", f"{where}/{name}")
        key = next((key for key in keys if key in self._file.tensors), None)
        if key is None:
            raise CheckpointError(f"layer {layer.name!r} lacks its {name} {shape} in the file: it was saved without")
        if self._used.setdefault(key, (layer.name, name)) != (layer.name, name):
            raise CheckpointError(f"{key} is the only {name} of {self._used[key][0]!r} and of {layer.name!r}")
        found = self._file.tensors[key]
        if found.shape != shape:
            raise CheckpointError(f"{name} of layer {layer.name!r} has the shape {found.shape}, expected {shape}")
        return found.read()

    def check_all_used(self) -> None:
        """CheckpointError if the file has tensors of no layer."""
        surplus = list(self._surplus())
        if surplus:
            raise CheckpointError(f"surplus tensors ({len(surplus)}): {', '.join(surplus[:10])}")

    def _surplus(self) -> Iterator[str]:
        for name, tensor in self._file.tensors.items():
            if name not in self._used:
                yield f"{name} {tensor.shape}"
