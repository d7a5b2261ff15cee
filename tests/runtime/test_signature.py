"""What a file states of its inputs and outputs survives JSON, and a call is checked by it."""

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bittern.runtime import Metadata, ModelFileError, Signature, TensorSpec
from bittern.runtime.arguments import bind, joined, slices
from bittern.runtime.signature import Nested, Structure
from runtime.programs import METADATA

TABLE = TensorSpec("table", (3, 4), batched=False)
SIGNATURE = Signature(
    (TensorSpec("image", (2, 3, 8, 8)), TensorSpec("ids", (2, 5), "int64"), TABLE, TensorSpec("mask", (2, 5), "bool")),
    (TensorSpec("boxes", (2, 7, 4)), TensorSpec("more.3", (2,), "int64"), TensorSpec("more.b", (7, 4), batched=False)),
    Nested("dict", (0, Nested("dict", (1, Nested("tuple", (2, None))), (3, "b"))), ("boxes", "more")),
)
CARD = replace(METADATA, output_shape=(2, 7, 4), interface=SIGNATURE)


def call(count: int = 2) -> dict[str, np.ndarray]:
    return {
        spec.name: np.ones((count, *spec.shape[1:]) if spec.batched else spec.shape, spec.dtype)
        for spec in SIGNATURE.inputs
    }


def test_a_signature_survives_json() -> None:
    assert Metadata.from_json(json.dumps(CARD.to_json(), sort_keys=True)) == CARD
    assert CARD.signature == SIGNATURE


def test_a_file_that_states_none_has_one_float_tensor_each_way() -> None:
    assert METADATA.to_json().keys().isdisjoint({"interface"})
    signature = METADATA.signature
    assert signature.is_single
    assert [str(spec) for spec in (*signature.inputs, *signature.outputs)] == [
        "x float32 [N, 3, 8, 8]",
        "output float32 [N, 5]",
    ]


WRONG: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "no inputs": (lambda x: x.update(inputs=[]), "inputs must have names, each its own"),
    "one name twice": (lambda x: x["inputs"][0].update(name="ids"), "inputs must have names, each its own"),
    "dtype": (lambda x: x["inputs"][0].update(dtype="float16"), "'image' is 'float16', not one of float32, int64"),
    "shape": (lambda x: x["outputs"][0].update(shape=[2, 0]), "shape must be a list of positive integers"),
    "batched number": (lambda x: x["inputs"][1].update(shape=[]), "'ids' is batched and has no dimensions"),
    "two batches": (lambda x: x["inputs"][1].update(shape=[3, 5]), "differ in their first dimension"),
    "first shape": (lambda x: x["inputs"][0].update(shape=[2, 3, 8, 9]), "not those of interface's first tensors"),
    "a missing output": (lambda x: x.update(structure=0), "must hold each of the 3 outputs once: \\[0\\]"),
    "an output twice": (lambda x: x.update(structure={"list": [0, 1, 2, 2]}), "must hold each of the 3 outputs once"),
    "an unknown output": (lambda x: x.update(structure={"list": [0, 1, 2, 3]}), "must hold each of the 3 outputs once"),
    "kind": (lambda x: x.update(structure={"set": [0, 1, 2]}), "structure must be made of outputs' numbers"),
    "kinds": (lambda x: x.update(structure={"list": [0], "tuple": [1]}), "structure must be made of"),
    "true": (lambda x: x.update(structure={"list": [0, True, 2]}), "structure must be made of"),
    "keys": (lambda x: x.update(structure={"dict": [["a", 0], ["a", 1], ["b", 2]]}), "structure must be made of"),
    "key": (lambda x: x.update(structure={"dict": [[1.5, 0], ["a", 1], ["b", 2]]}), "structure must be made of"),
    "pair": (lambda x: x.update(structure={"dict": [["a", 0, 1], 2]}), "structure must be made of"),
    "text": (lambda x: x.update(structure="output"), "structure must be made of"),
    "interface": (lambda x: x.clear(), "inputs must be a list of objects"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_signature_is_named(case: str) -> None:
    change, message = WRONG[case]
    card = copy.deepcopy(CARD.to_json())
    change(card["interface"])
    with pytest.raises(ModelFileError, match=message):
        Metadata.from_json(json.dumps(card))


def test_a_deep_structure_is_refused() -> None:
    card = CARD.to_json()
    card["interface"]["structure"] = 0
    for _ in range(100):
        card["interface"]["structure"] = {"list": [card["interface"]["structure"]]}
    with pytest.raises(ModelFileError, match="structure must be made of") as caught:
        Metadata.from_json(json.dumps(card))
    assert len(str(caught.value)) < 300


structures = st.recursive(
    st.sampled_from(["tensor", None]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.one_of(st.text(max_size=2), st.integers()), inner, max_size=3),
    ),
    max_leaves=8,
)


def described(value: Any, found: list[Any]) -> Structure:
    """The structure of a result whose tensors are added to ``found``."""
    if isinstance(value, dict):
        return Nested("dict", tuple(described(item, found) for item in value.values()), tuple(value))
    if isinstance(value, (list, tuple)):
        return Nested(type(value).__name__, tuple(described(item, found) for item in value))
    if value is None:
        return None
    found.append(len(found))
    return len(found) - 1


def numbered(value: Any, numbers: Any) -> Any:
    if isinstance(value, dict):
        return {key: numbered(item, numbers) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(numbered(item, numbers) for item in value)
    return None if value is None else next(numbers)


@given(structures)
def test_any_structure_is_nested_flattened_and_read_back(value: Any) -> None:
    tensors: list[int] = []
    structure = described(value, tensors)
    outputs = tuple(TensorSpec(str(i), (1, 2)) for i in tensors)
    signature = Signature((TensorSpec("x", (1, 3)),), outputs, structure)
    result = signature.nest(tensors)
    assert repr(result) == repr(numbered(value, iter(tensors)))
    assert signature.flatten(result) == tuple(tensors)
    if tensors:
        assert Signature.read(json.loads(json.dumps(signature.to_json(), sort_keys=True)), "it") == signature


def test_inputs_are_taken_by_place_and_by_name() -> None:
    values = call()
    image, ids, table, mask = values.values()
    for arrays in (
        bind(SIGNATURE, (image, ids, table, mask), {}),
        bind(SIGNATURE, (), values),
        bind(SIGNATURE, (image, ids), {"mask": mask, "table": table}),
    ):
        assert all(ours is theirs for ours, theirs in zip(arrays, values.values(), strict=True))


BAD: dict[str, tuple[Callable[[dict[str, Any]], object], type[Exception], str]] = {
    "missing": (lambda x: x.pop("ids"), TypeError, "input 'ids' is missing: the network takes image, ids, table, mask"),
    "unknown": (lambda x: x.update(masks=x["mask"]), TypeError, "the network has no input 'masks': the network takes"),
    "a list": (lambda x: x.update(ids=[[1]]), TypeError, "input ids must be a numpy array, got list"),
    "dtype": (
        lambda x: x.update(ids=x["ids"].astype(np.int32)),
        ValueError,
        r"input ids must be int64, got int32: convert them with ids\.astype\(np\.int64\)",
    ),
    "shape": (
        lambda x: x.update(ids=x["ids"][:, 1:]),
        ValueError,
        r"input ids must be of shape \[N, 5\], got \[2, 4\]",
    ),
    "rank": (lambda x: x.update(ids=x["ids"][0]), ValueError, r"input ids must be of shape \[N, 5\], got \[5\]"),
    "no batch": (
        lambda x: x.update(table=x["table"][:2]),
        ValueError,
        r"input table must be of shape \[3, 4\], got \[2, 4\]",
    ),
    "empty": (lambda x: x.update(ids=x["ids"][:0]), ValueError, "input ids must hold at least one image"),
    "other batch": (
        lambda x: x.update(mask=x["mask"][:1]),
        ValueError,
        "same number of images, got 2 in image, 2 in ids, 1 in mask",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_call_that_does_not_fit_is_named(case: str) -> None:
    change, kind, message = BAD[case]
    values = call()
    change(values)
    with pytest.raises(kind, match=message):
        bind(SIGNATURE, (), values)


def test_an_input_is_given_once() -> None:
    values = call()
    with pytest.raises(TypeError, match="input 'image' is given twice"):
        bind(SIGNATURE, (values["image"],), values)
    with pytest.raises(TypeError, match="got 5 inputs"):
        bind(SIGNATURE, (*values.values(), values["ids"]), {})


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_slices_hold_every_image_once_and_the_rest_whole(count: int, dynamic: bool) -> None:
    arrays = bind(SIGNATURE, (), call(count))
    orders = [(0, 2, 3, 1), (0, 1), (1, 0), (0, 1)]
    parts = list(slices(SIGNATURE, arrays, orders, dynamic=dynamic))
    assert [n for _, n in parts] == [2] * (count // 2) + [1] * (count % 2)
    for batch, n in parts:
        rows = n if dynamic else 2
        assert [array.shape for array in batch] == [(rows, 8, 8, 3), (rows, 5), (4, 3), (rows, 5)]
        assert [array.dtype for array in batch] == ["float32", "int64", "float32", "bool"]
        assert all(array[:n].all() and not array[n:].any() for array in (batch[0], batch[1], batch[3]))
    results = [
        ([np.full(spec.shape, i, spec.dtype) for spec in SIGNATURE.outputs], n) for i, (_, n) in enumerate(parts)
    ]
    boxes, classes, table = joined(SIGNATURE, results)
    assert len(boxes) == len(classes) == count
    np.testing.assert_array_equal(classes, np.arange(count) // 2)
    np.testing.assert_array_equal(table, np.zeros((7, 4)))
