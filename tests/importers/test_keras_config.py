"""Configurations of Keras files: what is not standard is refused by name, and nothing in one is trusted."""

import copy
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bittern.importers import CheckpointError, import_checkpoint
from bittern.importers.keras_file import read_keras
from bittern.importers.keras_network import read_network
from importers.own import BINARY, called, functional, image, layer, sequential, unpack, write_keras

KERNEL = {"kernel": np.ones((2, 3)), "bias": np.zeros(3)}


def refusal(config: object, tmp_path: Path, **weights: dict[str, Any]) -> str:
    with pytest.raises(CheckpointError) as error:
        import_checkpoint(write_keras(tmp_path / "net.h5", config, weights))
    return str(error.value)


def conv(name: str = "conv", **config: Any) -> dict[str, Any]:
    return layer("Conv2D", name, **{"filters": 3, "kernel_size": [1, 1], "use_bias": False, **config})


@pytest.mark.parametrize(
    ("refused", "message"),
    [
        (layer("Lambda", "mine", function="x"), "'mine' is a 'Lambda', which is not one of the layers"),
        (layer("Custom>Attention", "mine"), "'mine' is a 'Attention'"),
        (layer("LSTM", "mine", units=3), "'mine' is a 'LSTM'"),
        (layer("Activation", "mine", activation="Custom>mish"), "'mine' has the activation 'mish'"),
        (conv("mine", kernel_quantizer="mine_too"), "'mine' has the quantizer 'mine_too'"),
        (conv("mine", kernel_quantizer="ste_tern"), "SteTern, whose values are -1, 0 and 1: not binary"),
        (conv("mine", input_quantizer="magnitude_aware_sign"), "scales its signs by the mean size of the whole batch"),
        (conv("mine", data_format="channels_first"), "build the model with channels_last"),
        (conv("mine", padding="causal"), "has padding 'causal', expected valid or same"),
        (conv("mine", pad_values=0.5), "borders of 0, 1 and -1"),
        (conv("mine", groups=3), "3 groups for 2 channels"),
        (conv("mine", strides=[0, 1]), "strides [0, 1], expected two positive integers"),
        (conv("mine", kernel_size=[9, 9]), "kernel of layer 'mine' has the shape (1, 1, 2, 3), expected (9, 9, 2, 3)"),
        (conv("mine", filters=2**62), "expected (1, 1, 2, 4611686018427387904)"),
        (conv("mine", filters="3"), "layer 'mine': filters must be an integer, is '3'"),
        (layer("ZeroPadding2D", "mine", padding=[[1, 2, 3], [1]]), "((top, bottom), (left, right))"),
        (layer("UpSampling2D", "mine", interpolation="bilinear"), "interpolates by 'bilinear'"),
        (layer("UpSampling2D", "mine", size=[2**30, 2**30]), "upsample does not take [1, 2, 6, 5]"),
        (layer("UpSampling2D", "mine", size=[2**20, 2**10]), "which no network needs"),
        (layer("PReLU", "mine", shared_axes=None), "shared_axes=[1, 2]"),
        (
            layer("Reshape", "mine", target_shape=[7, 3, 2]),
            "for input of size 60 (in the source, 'mine_pixels')",
        ),
        (layer("Add", "mine"), "takes several inputs, got one"),
    ],
    ids=lambda value: value["class_name"] if isinstance(value, dict) else value[:30],
)
def test_what_is_not_imported_is_refused_with_its_layer(refused: dict[str, Any], message: str, tmp_path: Path) -> None:
    weights = {"mine": {"kernel": np.ones((1, 1, 2, 3))}}
    assert message in refusal(sequential(image(), refused), tmp_path, **weights)


def test_weights_must_be_there_of_the_right_shape_and_all_used(tmp_path: Path) -> None:
    net = sequential(layer("Dense", "fc", units=3, batch_input_shape=[None, 2]))
    assert import_checkpoint(write_keras(tmp_path / "right.h5", net, {"fc": KERNEL})).tensors == 2
    assert "'fc' lacks its bias (3,)" in refusal(net, tmp_path, fc={"kernel": KERNEL["kernel"]})
    assert "expected (2, 3)" in refusal(net, tmp_path, fc={**KERNEL, "kernel": np.ones((2, 4))})
    assert "surplus tensors (1): fc/gamma (3,)" in refusal(net, tmp_path, fc={**KERNEL, "gamma": np.ones(3)})
    assert "not finite" in refusal(net, tmp_path, fc={**KERNEL, "bias": np.array([0, np.nan, 0])})


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ([None, None, None, 3], "whose sizes are open: build the model with the size"),
        ([None, 4, 4, 4, 3], "images [batch, H, W, C]"),
        ([None, 0, 4, 3], "whose sizes are open"),
        ("4, 4", "images [batch, H, W, C]"),
    ],
)
def test_the_input_must_be_an_image_or_rows_of_one_size(shape: object, message: str, tmp_path: Path) -> None:
    first = layer("InputLayer", "image", batch_input_shape=shape)
    assert message in refusal(sequential(first, layer("Flatten", "flat")), tmp_path)


def test_a_sequential_model_that_was_not_built_is_refused_with_the_way_out(tmp_path: Path) -> None:
    assert "call model.build((None, H, W, C))" in refusal(sequential(layer("Flatten", "flat")), tmp_path)


def relu(name: str) -> dict[str, Any]:
    return layer("ReLU", name)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            functional(called(image()), called(relu("a"), "b"), called(relu("b"), "a"), output="b"),
            "read each other in a circle",
        ),
        (functional(called(image()), called(relu("a"), "a"), output="a"), "read each other in a circle"),
        (functional(called(image()), called(relu("a"), "none"), output="a"), "is no reference to a layer"),
        (functional(called(image()), called(relu("a")), output="a"), "call 0 of layer 'a' is read, but is not in"),
        (functional(called(image()), called(image("two")), called(relu("a"), "image"), output="a"), "a second input"),
        (functional(called(image()), called(relu("a"), "image"), called(relu("a"), "image"), output="a"), "two layers"),
        (functional(called(image()), output="image"), "has no layers: it returns its input"),
        (functional(called(relu("a"), "a"), output="a", source="a"), "is no InputLayer"),
        (layer("MyModel", "net"), "only Sequential and functional models"),
        (sequential(), "has no list of 1 to 10000 layers"),
        ({"config": 3}, "describes no layer"),
        ("{", "the configuration is not JSON"),
        ("[" * 100_000, "the configuration is not JSON"),
        ("[1]", "describes no layer"),
    ],
    ids=range(14),
)
def test_a_configuration_that_is_no_network_is_refused(config: object, message: str, tmp_path: Path) -> None:
    assert message in refusal(config, tmp_path)


def test_models_that_call_each_other_are_not_multiplied_without_end(tmp_path: Path) -> None:
    inside = layer("Dropout", "nothing")
    for level in range(15):
        nested = called(inside, "image")
        first = int(inside["class_name"] == "Functional")  # the call numbers of a nested model begin with 1
        nested["inbound_nodes"] += [[[nested["name"], index + first, 0, {}]] for index in range(7)]
        net = functional(called(image()), nested, output=nested["name"])
        net["config"]["name"] = f"level_{level}"
        net["config"]["output_layers"] = [[nested["name"], 7 + first, 0]]
        inside = net
    assert "more than 10000 calls of layers" in refusal(inside, tmp_path)


def test_a_flattened_image_is_not_listed_feature_by_feature_without_end(tmp_path: Path) -> None:
    large = layer("UpSampling2D", "large", size=[2**12, 2**12])
    assert "layer 'flat' flattens" in refusal(sequential(image(), large, layer("Flatten", "flat")), tmp_path)


def test_a_model_with_two_outputs_is_refused_with_the_way_out(tmp_path: Path) -> None:
    net = functional(called(image()), called(relu("a"), "image"), output="a")
    net["config"]["output_layers"] *= 2
    assert "save keras.Model(inputs, outputs) of one of each" in refusal(net, tmp_path)


JUNK: list[Any] = [None, -1, 0, 1, 2, 7, 2**31, 10**30, 1e308, float("nan"), True, "", "x", "same", "relu", [], {}, [1]]
JUNK += [[2, 2], [0, 0], [-1, -1], [2**40, 2**40], [[1, 2], [3, 4]], ["image", 0, 0], {"class_name": "SteSign"}]


def _places(value: object, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield (*at, key)
        yield from _places(value[key], (*at, key))  # type: ignore[index]


def _damage(config: Any, at: tuple[Any, ...], change: Callable[[Any, Any], None]) -> Any:
    config = copy.deepcopy(config)
    value = config
    for key in at[:-1]:
        value = value[key]
    change(value, at[-1])
    return config


@pytest.mark.parametrize("name", BINARY)
def test_damage_anywhere_is_refused_or_harmless(name: str, tmp_path: Path) -> None:
    file = read_keras(unpack(name, tmp_path))
    assert file.config is not None
    config, chance = json.loads(file.config), random.Random(name)
    places = list(_places(config))
    for at in chance.sample(places, 60):
        junk = chance.choice(JUNK)
        change = dict.__delitem__ if isinstance(at[-1], str) and chance.random() < 0.2 else None
        damaged = _damage(config, at, change or (lambda value, key, junk=junk: value.__setitem__(key, junk)))
        try:
            read_network(replace(file, config=json.dumps(damaged)))
        except CheckpointError:
            continue
