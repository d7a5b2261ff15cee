"""One rule from pixels to input: the same class, the same numbers and the same checks in training and in the engine."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import bittern
from bittern.data import Preprocessing, get_dataset, list_datasets
from bittern.nn import BinaryConv2d
from bittern.runtime import load, preprocess
from runtime.programs import METADATA

RULE = Preprocessing(1 / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def test_training_and_engine_have_one_class() -> None:
    assert bittern.data.Preprocessing is bittern.runtime.Preprocessing


@pytest.mark.parametrize("name", list_datasets())
def test_the_exporter_takes_the_preprocessing_of_a_data_set(name: str, tmp_path: Path) -> None:
    rule, channels = get_dataset(name).preprocessing, get_dataset(name).input_shape[0]
    net = nn.Sequential(nn.Conv2d(channels, 32, 3), BinaryConv2d(32, 4, 3)).eval()
    bittern.export.to_pte(net, torch.zeros(1, channels, 8, 8), tmp_path / "net.pte", preprocessing=rule)
    assert load(tmp_path / "net.pte").metadata.preprocessing == rule


@pytest.mark.parametrize("rule", [RULE, Preprocessing(0.0625, (0.5,), (0.25,))])
def test_tensors_and_arrays_give_the_same_bits(rule: Preprocessing) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    tensor = rule(torch.from_numpy(pixels).permute(0, 3, 1, 2))
    assert tensor.dtype == torch.float32
    np.testing.assert_array_equal(preprocess(pixels, replace(METADATA, preprocessing=rule)), tensor.numpy())


def test_a_rule_survives_json() -> None:
    assert Preprocessing.from_json(json.loads(json.dumps(RULE.to_json()))) == RULE


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "preprocessing must be an object, is None"),
        ({"scale": 1, "mean": [0]}, "preprocessing: std must be a list of numbers, is None"),
        ({"scale": "1", "mean": [0], "std": [1]}, "preprocessing: scale must be a number, is '1'"),
        ({"scale": 1, "mean": [float("inf")], "std": [1]}, "preprocessing: mean must be finite, is inf"),
    ],
)
def test_what_is_no_rule_is_refused_with_the_field(value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Preprocessing.from_json(value)
