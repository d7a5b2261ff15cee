"""Networks as data: what JSON holds is replayed, and a description that is no network is refused by name."""

import copy
import json
import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from bittern.models.graph import GraphNetwork, GraphNode, LayerGraph
from bittern.models.graph_operators import OPERATORS


def node(name: str, operator: str, *inputs: str, weights: dict[str, Any] | None = None, **attributes: Any) -> GraphNode:
    return GraphNode(name, operator, inputs, weights or {}, attributes)


SMALL = LayerGraph(
    (3, 6, 5),
    (
        node("conv", "conv2d", "input", weights={"weight": (4, 3, 3, 3), "bias": (4,)}, padding=(1, 1, 1, 1)),
        node("norm", "batch_norm", "conv", weights=dict.fromkeys(("mean", "variance", "bias"), (4,)), epsilon=1e-3),
        node("sign", "binarize", "norm"),
        node("fc", "linear", "rows", weights={"weight": (2, 120), "magnitude": (2,)}, binary=True),
    ),
    "fc",
)
SMALL = LayerGraph(SMALL.input_shape, (*SMALL.layers[:3], node("rows", "flatten", "sign"), SMALL.layers[3]), "fc")


def test_json_holds_the_whole_graph() -> None:
    assert LayerGraph.from_json(json.loads(json.dumps(SMALL.to_json()))) == SMALL


def test_a_graph_computes_what_the_same_layers_compute() -> None:
    network = GraphNetwork(SMALL)
    for tensor in network.state_dict().values():
        nn.init.uniform_(tensor, 0.1, 1.0)
    nn.init.normal_(network.fc.weight)  # type: ignore[arg-type, union-attr]
    state = network.state_dict()
    x = torch.randn(2, 3, 6, 5)
    y = nn.functional.conv2d(x, state["conv.weight"], state["conv.bias"], padding=1)
    variance = state["norm.variance"].view(-1, 1, 1)
    y = (y - state["norm.mean"].view(-1, 1, 1)) / (variance + 1e-3).sqrt() + state["norm.bias"].view(-1, 1, 1)
    w = torch.where(state["fc.weight"] < 0, -1.0, 1.0) * state["fc.magnitude"][:, None]
    expected = torch.where(y < 0, -1.0, 1.0).flatten(1) @ w.T
    assert torch.allclose(network(x), expected, atol=1e-5)


def test_statistics_of_batch_norm_are_no_parameters() -> None:
    names = {name for name, _ in GraphNetwork(SMALL).named_parameters()}
    assert names == {"conv.weight", "conv.bias", "norm.bias", "fc.weight", "fc.magnitude"}


def change(**entries: Any) -> Callable[[dict[str, Any]], None]:
    return lambda value: value.update(entries)


def change_layer(index: int, **entries: Any) -> Callable[[dict[str, Any]], None]:
    return lambda value: value["layers"][index].update(entries)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (change(input=[3, 6]), r"input must be \[C, H, W\]"),
        (change(output="nothing"), "output 'nothing' is no layer"),
        (change(output="input"), "output 'input' is no layer"),
        (change(layers=[]), "output 'fc' is no layer"),
        (change_layer(2, operator="eval"), "layer 'sign': operator 'eval' is none of conv2d"),
        (change_layer(2, inputs=["sign"]), "layer sign reads 'sign', which is no earlier layer"),
        (change_layer(2, inputs=["norm", "norm"]), "binarize takes 1 inputs, got 2"),
        (change_layer(2, name="norm"), "two layers are called 'norm'"),
        (change_layer(2, name="forward"), "'forward' is no name of a layer"),
        (change_layer(2, name="a.b"), "'a.b' is no name of a layer"),
        (change_layer(2, attributes={"beta": 1.0}), "'beta' is none of them: it has none"),
        (change_layer(1, attributes={}), "attributes of batch_norm lack epsilon"),
        (change_layer(1, attributes={"epsilon": "1"}), "epsilon must be a number"),
        (change_layer(1, weights={"mean": [4]}), "weights of batch_norm lack variance"),
        (change_layer(0, weights={"weight": [2**40, 2**40]}), "which is more than"),
        (change_layer(0, weights={"weight": [4, 3, 0, 3]}), "must be a list of positive integers"),
        (change_layer(0, weights={"weight": [4, 5, 3, 3]}), "layer conv: conv2d does not take"),
        (change_layer(0, attributes={"padding": [1]}), "layer conv: conv2d does not take"),
        (change_layer(3, operator="upsample", attributes={"factors": [2**20, 2**20]}), "layer rows: upsample"),
    ],
)
def test_a_description_that_is_no_network_is_refused(edit: Callable[[dict[str, Any]], None], message: str) -> None:
    value = copy.deepcopy(SMALL.to_json())
    edit(value)
    with pytest.raises(ValueError, match=message), torch.device("meta"):
        GraphNetwork(LayerGraph.from_json(value))


def test_damage_anywhere_is_refused_or_harmless() -> None:
    chance, text = random.Random(0), json.dumps(SMALL.to_json())
    for _ in range(300):
        at, length = chance.randrange(len(text)), chance.randint(0, 5)
        damaged = text[:at] + chance.choice(["", "0", "9999", "-", '"', "null", "[]", "1e9"]) + text[at + length :]
        try:
            with torch.device("meta"):
                GraphNetwork(LayerGraph.from_json(json.loads(damaged)))
        except ValueError:
            continue


def test_every_operator_says_what_it_takes() -> None:
    assert all(row.inputs is None or row.inputs > 0 for row in OPERATORS.values())
    assert OPERATORS["conv2d"].weights == {"weight": True, "bias": False, "magnitude": False}
    assert not OPERATORS["conv2d"].attributes["stride"].required
    assert OPERATORS["max_pool2d"].attributes["kernel"].required
