"""Metadata survives JSON, and what is wrong with it is said."""

import json
from typing import Any

import pytest

from bittern.runtime import Metadata, ModelFileError, Operator, Preprocessing
from runtime.programs import METADATA

FULL = Metadata(
    bittern="0.1.0",
    executorch="1.5.1",
    model="net",
    input_shape=(1, 3, 32, 32),
    output_shape=(1, 10),
    class_names=("cat", "dog"),
    preprocessing=Preprocessing(1 / 255, (0.5, 0.4, 0.3), (0.2, 0.2, 0.2)),
    operators=(Operator("conv2d", "layer1.0", ("relu", None), (0, 17), "8a"),),
)


@pytest.mark.parametrize("metadata", [FULL, METADATA])
def test_metadata_survives_json(metadata: Metadata) -> None:
    assert Metadata.from_json(json.dumps(metadata.to_json())) == metadata


def test_unknown_fields_are_ignored() -> None:
    assert Metadata.from_json(json.dumps({**FULL.to_json(), "later": 1})) == FULL


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("format", 2, "is of format 2, this Bittern reads up to 1"),
        ("format", None, "format must be an integer, is None"),
        ("model", 3, "model must be a string, is 3"),
        ("bittern", None, "bittern must be a string, is None"),
        ("input_shape", [1, 0], "input_shape must be a list of positive integers"),
        ("input_shape", [1.5], "input_shape must be a list of positive integers"),
        ("output_shape", 3, "output_shape must be a list of positive integers"),
        ("output_shape", [True], "output_shape must be a list of positive integers"),
        ("class_names", ["a", 1], "class_names must be a list of strings"),
        ("preprocessing", {"scale": 1, "mean": [0]}, "preprocessing: std must be a list of numbers"),
        ("preprocessing", {"scale": "1", "mean": [0], "std": [1]}, "preprocessing: scale must be a number"),
        ("preprocessing", [], "preprocessing must be an object"),
        ("preprocessing", {"scale": 10**400, "mean": [0], "std": [1]}, "preprocessing: scale must be finite, is 1000"),
        (
            "preprocessing",
            {"scale": 1, "mean": [float("nan")], "std": [1]},
            "preprocessing: mean must be finite, is nan",
        ),
        ("preprocessing", {"scale": 1, "mean": [0, 0], "std": [1, 1]}, "preprocessing: 2 means and 2 stds"),
        ("preprocessing", {"scale": 1, "mean": [0], "std": [0]}, "preprocessing: scale, mean and std must be finite"),
        ("operators", None, "operators must be a list of objects"),
        ("operators", [{"op": "conv2d", "path": ""}], r"operators\[0\]: outputs must be a list"),
        ("operators", [3], r"operators\[0\] must be an object"),
        (
            "operators",
            [{"op": "conv2d", "path": "", "outputs": [], "activations": [], "flipped": "0x8"}],
            "flipped must be a hexadecimal number, is '0x8'",
        ),
    ],
)
def test_a_wrong_field_is_named(field: str, value: Any, message: str) -> None:
    with pytest.raises(ModelFileError, match=message):
        Metadata.from_json(json.dumps({**FULL.to_json(), field: value}))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"text"', "[" * 100_000, "1" * 5000, '{"model": "\\ud800"}'])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(ModelFileError, match="metadata"):
        Metadata.from_json(text)


@pytest.mark.parametrize("value", ["x" * 5000, [0] * 5000, [[[[[[[[["deep"]]]]]]]]], {"a": "x" * 5000}])
def test_a_long_value_is_cut_in_the_message(value: Any) -> None:
    with pytest.raises(ModelFileError) as caught:
        Metadata.from_json(json.dumps({**FULL.to_json(), "format": value}))
    assert len(str(caught.value)) < 200
