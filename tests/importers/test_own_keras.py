"""Networks of users, saved by Keras: they compute what Keras computed, before and after export."""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

import bittern
from bittern.importers import CheckpointError, import_checkpoint, save_imported
from bittern.train import load_run
from importers.fixtures import fixture
from importers.own import BINARY, image, inputs, layer, logits, sequential, unpack, write_keras

BOUND = 1e-5
"""Of the largest logit: sums in another order; 2e-7 was observed."""


QUICK = ("digits", "residual", "nested")


@pytest.mark.parametrize("name", BINARY)
def test_the_run_folder_of_an_own_network_gives_keras_logits(name: str, tmp_path: Path) -> None:
    imported = import_checkpoint(unpack(name, tmp_path))
    assert imported.info.model == name
    assert imported.info.origin is not None
    assert imported.info.origin.source == "Keras"
    save_imported(imported, tmp_path / "run")
    run = load_run(tmp_path / "run")
    assert run.info == imported.info
    expected = logits(name)
    with torch.no_grad():
        assert (run.model(inputs(name)) - expected).abs().max() < BOUND * expected.abs().max()


@pytest.mark.filterwarnings("ignore::bittern.export.ExportWarning")  # of ELU and of resizing, which are fallbacks
@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in BINARY]
)
def test_the_exported_file_has_its_binary_layers_packed_and_gives_keras_logits(name: str, tmp_path: Path) -> None:
    network = import_checkpoint(unpack(name, tmp_path)).network
    x, expected = inputs(name), logits(name).numpy()
    export = bittern.export.to_pte(network, x[:1], tmp_path / "net.pte", check=False)
    layers = [row for row in export.explanation.rows if row.operator in ("aten::conv2d", "aten::linear")]
    assert sum(row.runs == "bittern" for row in layers) == BINARY[name]
    assert all(row.reason == "real-valued" for row in layers if row.runs != "bittern")
    found = bittern.runtime.load(export.path)(x.contiguous().numpy())
    assert np.abs(found - expected).max() < BOUND * np.abs(expected).max()


def test_pixels_are_from_0_to_1_with_a_warning_unless_told(tmp_path: Path) -> None:
    path = unpack("digits", tmp_path)
    guessed = import_checkpoint(path)
    assert any("--pixels" in warning for warning in guessed.warnings)
    assert float(guessed.info.preprocessing(torch.full((1, 1, 1, 1), 255, dtype=torch.uint8))) == 1
    told = bittern.data.Preprocessing(2 / 255, (1.0,), (1.0,))
    imported = import_checkpoint(path, pixels=told)
    assert (imported.info.preprocessing, imported.warnings) == (told, ())


@pytest.mark.parametrize(
    "signs", ["ste_sign", "approx_sign", {"class_name": "Larq>SwishSign", "config": {"beta": 3.0}}]
)
def test_a_sign_of_zero_is_one_in_weights_and_activations(signs: object, tmp_path: Path) -> None:
    dense = layer(
        "QuantDense", "fc", units=2, kernel_quantizer=signs, input_quantizer=signs, batch_input_shape=[None, 3]
    )
    kernel = np.array([[0.0, -0.0], [-1e-30, 2.0], [0.0, -3.0]])
    path = write_keras(tmp_path / "net.h5", sequential(dense), {"fc": {"kernel": kernel, "bias": np.zeros(2)}})
    network = import_checkpoint(path).network
    result = network(torch.tensor([0.0, -0.0, -1e-30]).view(1, 3, 1, 1))
    assert result.tolist() == [[1 - 1 - 1, 1 + 1 + 1]]


ABOVE = float(np.nextafter(np.float32(0.5), np.float32(1)))


@pytest.mark.parametrize(
    ("quantizer", "values", "expected"),
    [
        ("ste_heaviside", [-1.0, 0.0, 1e-30, 2.0], [0, 0, 1, 1]),
        ({"class_name": "DoReFa", "config": {"k_bit": 1}}, [-1.0, 0.5, ABOVE, 2.0], [0, 0, 1, 1]),
        ({"class_name": "DoReFa", "config": {"k_bit": 2}}, [-1.0, 0.5, ABOVE, 2.0], [0, 2 / 3, 2 / 3, 1]),
        ({"class_name": "NoOp", "config": {"precision": 1}}, [-1.0, 0.5, 0.3, 2.0], [-1.0, 0.5, 0.3, 2.0]),
    ],
    ids=["ste_heaviside", "DoReFa(1)", "DoReFa(2)", "NoOp"],
)
def test_quantizers_of_activations_at_their_thresholds(
    quantizer: object, values: list[float], expected: list[float], tmp_path: Path
) -> None:
    dense = layer("QuantDense", "fc", units=4, use_bias=False, batch_input_shape=[None, 4], input_quantizer=quantizer)
    path = write_keras(tmp_path / "net.h5", sequential(dense), {"fc": {"kernel": np.eye(4)}})
    result = import_checkpoint(path).network(torch.tensor(values).view(1, 4, 1, 1))
    torch.testing.assert_close(result, torch.tensor([expected], dtype=torch.float32))


@pytest.mark.parametrize(("bits", "expected"), [(1, [-1, -1, 1, 1]), (2, [-1, 1 / 3, 1 / 3, 1])])
def test_dorefa_weights_are_normed_by_the_largest_and_rounded(bits: int, expected: list[float], tmp_path: Path) -> None:
    kernel = np.array([[-2.0], [0.0], [0.1], [2.0]])  # 0 stands at 1/2, whose multiples are rounded to even ones
    quantizer = {"class_name": "DoReFa", "config": {"k_bit": bits, "mode": "weights"}}
    dense = layer("QuantDense", "fc", units=1, use_bias=False, batch_input_shape=[None, 4], kernel_quantizer=quantizer)
    network = import_checkpoint(write_keras(tmp_path / "net.h5", sequential(dense), {"fc": {"kernel": kernel}})).network
    result = network(torch.eye(4).view(4, 4, 1, 1)).flatten()
    torch.testing.assert_close(result, torch.tensor(expected, dtype=torch.float32))


def test_a_damaged_description_of_layers_is_refused_by_name(tmp_path: Path) -> None:
    save_imported(import_checkpoint(unpack("digits", tmp_path)), tmp_path / "run")
    path = tmp_path / "run" / "model.json"
    path.write_text(path.read_text().replace('"binarize"', '"os.system"', 1))
    with pytest.raises(bittern.train.RunError, match=r"quant_conv2d_1_sign.*'os\.system' is none of"):
        load_run(tmp_path / "run")


def test_an_own_network_is_not_imported_as_a_published_model(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"is no checkpoint of quicknet.*is imported without options"):
        import_checkpoint(unpack("digits", tmp_path), "quicknet")


def test_files_that_do_not_describe_a_network_are_refused_with_the_way_out(tmp_path: Path) -> None:
    path = unpack("digits", tmp_path)
    with h5py.File(path, "r+") as file:
        del file.attrs["model_config"]
    with pytest.raises(CheckpointError, match=r"of no known source.*as model\.save writes it"):
        import_checkpoint(path)
    with pytest.raises(CheckpointError, match=r"Keras 3; save it with Keras 2: model\.save\('model\.h5'\)"):
        import_checkpoint(path.rename(tmp_path / "net.keras"))


def published(*, slope: bool) -> dict[str, Any]:
    """The configuration of the published BinaryNet, narrow; or with LeakyReLU in front of a normalization."""
    signs = {"input_quantizer": "ste_sign", "kernel_quantizer": "ste_sign", "use_bias": False}
    layers = [image("image", 32, 32, 3)]
    for index, width in enumerate((8, 8, 16, 16, 32, 32, 32, 32, 10)):
        suffix = f"_{index}" if index else ""
        if index < 6:
            conv = {"filters": width, "kernel_size": [3, 3], "padding": "same" if index else "valid", **signs}
            if not index:
                del conv["input_quantizer"]
            layers.append(layer("QuantConv2D", f"quant_conv2d{suffix}", **conv))
        else:
            layers.append(layer("QuantDense", f"quant_dense_{index - 6}".removesuffix("_0"), units=width, **signs))
        if index in (1, 3, 5):
            layers.append(layer("MaxPooling2D", f"pool{suffix}"))
        if slope and index == 7:
            layers.append(layer("LeakyReLU", "slope", alpha=0.3))
        layers.append(layer("BatchNormalization", f"batch_normalization{suffix}", scale=False))
        if index == 5:
            layers.append(layer("Flatten", "flatten"))
    return sequential(*layers, layer("Activation", "last", activation="softmax"))


@pytest.mark.parametrize("slope", [False, True])
def test_the_tensors_of_a_published_model_are_one_only_if_the_configuration_computes_the_same(
    slope: bool, tmp_path: Path
) -> None:
    path = fixture("binarynet").unpack(tmp_path)
    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = json.dumps(published(slope=slope))
    imported = import_checkpoint(path)
    assert (imported.info.model, imported.info.graph is None) == (("net", False) if slope else ("binarynet", True))
