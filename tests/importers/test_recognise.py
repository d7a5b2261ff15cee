"""Checkpoints are recognised by names and shapes alone; what does not fit is refused with the differences."""

from collections import Counter
from dataclasses import replace
from math import prod
from typing import Any

import pytest

from bittern.importers import SOURCES, CheckpointError
from bittern.importers import recognise as recognise_module
from bittern.importers.recognise import Candidate, recognise
from bittern.importers.tensor_file import TensorFile
from bittern.models import get_model
from importers.fixtures import model_of
from importers.layouts import ALL, LARQ, PYTORCH, Layers, layout

FAMILIES = (
    "quicknet",
    "quicknet-small",
    "binary-resnet-e-18",
    "real-to-binary",
    "binary-densenet-28",
    "meliusnet-22",
    "binary-alexnet",
    "reactnet-a-reactnet-step-2",
    "react-resnet-18-step-2",
)
"""One of each kind."""


def step_of(name: str) -> int | None:
    return int(name[-1]) if name in PYTORCH else None


def find(file: TensorFile, **options: Any) -> Candidate:
    return recognise(file, "FILE", **options)


def refusal(file: TensorFile, **options: Any) -> str:
    with pytest.raises(CheckpointError) as error:
        find(file, **options)
    return str(error.value)


def conv_2(layers: Layers) -> tuple[str, dict[str, list[int]]]:
    """The second layer that has a kernel."""
    return [layer for layer in layers if "kernel" in layer[1]][1]


@pytest.mark.parametrize("name", ALL)
def test_a_published_layout_is_recognised_as_published(name: str) -> None:
    found = find(layout(name), step=step_of(name))
    info = get_model(model_of(name))
    assert found.source.model == info.name
    precision = "binary_activations" if step_of(name) == 1 else "binary"
    shape = {"num_classes": info.num_classes, "in_channels": info.in_channels, "image_size": info.image_size}
    assert found.options == {**shape, "precision": precision}


@pytest.mark.parametrize("name", ALL)
def test_every_tensor_of_the_file_is_used_once_and_every_one_of_the_network_filled_once(name: str) -> None:
    file = layout(name)
    found = find(file, step=step_of(name))
    assert Counter(source for _, source in found.match.pairs) == Counter(file.tensors.keys())
    numbers: Counter[str] = Counter()
    for slot, source in found.match.pairs:
        numbers[slot.target] += prod(file.tensors[source].shape)
    state = {name: tensor.numel() for name, tensor in found.network.state_dict().items()}
    counters = {name for name in state if name.endswith("num_batches_tracked")} if name in LARQ else set()
    assert numbers == {name: count for name, count in state.items() if name not in counters}


@pytest.mark.parametrize("name", sorted(LARQ.keys() & FAMILIES))
def test_names_that_count_on_from_another_network_change_nothing(name: str) -> None:
    def rename(layers: Layers) -> None:
        if not layers[0][0].startswith("r2b") and "stem" not in layers[1][0]:
            layers[:] = [(f"{layer}_{100 + index}", weights) for index, (layer, weights) in enumerate(layers)]

    names = [slot for slot, _ in find(layout(name, rename)).match.pairs]
    assert [slot.target for slot in names] == [slot.target for slot, _ in find(layout(name)).match.pairs]


@pytest.mark.parametrize("name", sorted(LARQ.keys() & FAMILIES))
def test_a_missing_layer_is_the_only_one_in_the_list(name: str) -> None:
    def drop(layers: Layers) -> None:
        layers.remove(conv_2(layers))

    message = refusal(layout(name, drop), model=name)
    assert f"FILE is no checkpoint of {name}" in message
    assert "missing (1): kernel (" in message
    assert "surplus" not in message
    assert "misshapen" not in message


@pytest.mark.parametrize("name", sorted(PYTORCH.keys() & FAMILIES))
def test_a_missing_tensor_is_listed_with_its_place(name: str) -> None:
    message = refusal(layout(name, lambda layers: layers[0][1].pop("fc.bias")), model=model_of(name))
    assert message.endswith("missing (1): fc.bias (1000,), for classifier.bias")


@pytest.mark.parametrize("name", FAMILIES)
def test_a_surplus_tensor_is_listed(name: str) -> None:
    def add(layers: Layers) -> None:
        (layers[-1][1] if name in PYTORCH else conv_2(layers)[1])["another"] = [3]

    message = refusal(layout(name, add), model=model_of(name))
    assert "surplus (1): " in message
    assert "another (3,)" in message
    assert "missing" not in message


@pytest.mark.parametrize("name", FAMILIES)
def test_a_misshapen_tensor_is_listed_with_the_shape_expected(name: str) -> None:
    def change(layers: Layers) -> None:
        weights = layers[0][1] if name in PYTORCH else conv_2(layers)[1]
        key = "fc.weight" if name in PYTORCH else "kernel"
        weights[key] = [*weights[key][:-1], 7]

    message = refusal(layout(name, change), model=model_of(name))
    assert "misshapen (" in message
    assert "7), expected (" in message


@pytest.mark.parametrize("name", FAMILIES)
def test_a_checkpoint_of_another_model_is_refused_and_named(name: str) -> None:
    other = {"quicknet": "quicknet-large"}.get(model_of(name), "quicknet")
    message = refusal(layout(name), model=other)
    assert f"is no checkpoint of {other}" in message
    assert f"It is a checkpoint of {model_of(name)}" in message
    assert "missing (" in message


def test_names_of_layers_tell_the_dilated_network_and_without_them_the_user_must() -> None:
    def forget(layers: Layers) -> None:
        layers[:] = [layer for layer in layers if layer[1]]

    names = ("binary-densenet-37", "binary-densenet-37-dilated")
    for name in names:
        assert "choose with --model" in refusal(layout(name, forget))
        for model in names:
            assert find(layout(name, forget), model=model).source.model == model


@pytest.mark.parametrize("name", [name for name in PYTORCH if not name.endswith("reactnet-step-2")])
def test_steps_with_the_same_names_must_be_told_apart_by_the_user(name: str) -> None:
    assert "pass --step 1" in refusal(layout(name))
    assert {find(layout(name), step=step).options["precision"] for step in (1, 2)} == {"binary", "binary_activations"}


def test_a_step_that_the_names_contradict_is_refused() -> None:
    assert find(layout("reactnet-a-reactnet-step-2")).options["precision"] == "binary"
    assert "leave --step 1 out" in refusal(layout("reactnet-a-reactnet-step-2"), step=1)
    assert "leave --step 2 out" in refusal(layout("quicknet"), step=2)


def test_tensors_of_no_known_source_are_refused_with_what_is_known() -> None:
    def replace(layers: Layers) -> None:
        layers[:] = [("", {"encoder.weight": [4, 4], "decoder.bias": [4]})]

    message = refusal(layout("reactnet-a-reactnet-step-2", replace))
    assert "of no known source" in message
    assert "encoder.weight (4, 4)" in message
    assert all(source.model in message for source in SOURCES)


def test_a_model_without_published_checkpoints_is_refused_with_those_that_have_some() -> None:
    assert "no published checkpoints of 'digits-resnet'" in refusal(layout("quicknet"), model="digits-resnet")
    with pytest.raises(ValueError, match="quicknet"):
        find(layout("quicknet"), model="quiknet")


@pytest.mark.parametrize("size", [0, 2**31, 2**62])
@pytest.mark.parametrize("name", ["quicknet", "binary-resnet-e-18", "react-resnet-18-step-2"])
def test_a_size_that_no_network_can_have_is_refused(name: str, size: int) -> None:
    def change(layers: Layers) -> None:
        for _, weights in layers:
            for shape in weights.values():
                shape[:] = [size if length == 512 else length for length in shape]

    assert "FILE is" in refusal(layout(name, change))


@pytest.mark.parametrize("error", [AssertionError, TypeError, RuntimeError])
def test_a_mistake_in_a_source_is_not_taken_for_a_file_that_does_not_fit(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(file: TensorFile) -> dict[str, Any]:
        raise error("a mistake")

    monkeypatch.setattr(recognise_module, "SOURCES", (replace(SOURCES[0], options=fail), *SOURCES[1:]))
    with pytest.raises(error, match="a mistake"):
        find(layout("binary-alexnet"))
