"""Networks of users, saved by Keras: they compute what Keras computed, before and after export."""

from pathlib import Path

import numpy as np
import pytest
import torch

import bittern
from bittern.importers import CheckpointError, import_checkpoint, save_imported
from bittern.train import load_run
from importers.own import BINARY, inputs, layer, logits, sequential, unpack, write_keras

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


def test_a_damaged_description_of_layers_is_refused_by_name(tmp_path: Path) -> None:
    save_imported(import_checkpoint(unpack("digits", tmp_path)), tmp_path / "run")
    path = tmp_path / "run" / "model.json"
    path.write_text(path.read_text().replace('"binarize"', '"os.system"', 1))
    with pytest.raises(bittern.train.RunError, match=r"quant_conv2d_1_sign.*'os\.system' is none of"):
        load_run(tmp_path / "run")


def test_a_published_model_with_options_of_one_is_refused_for_an_own_network(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is no checkpoint of quicknet"):
        import_checkpoint(unpack("digits", tmp_path), "quicknet")
