"""Imported networks compute what their sources compute: the fixtures' logits come from the sources' own code.

A sign whose input is within rounding error of its threshold may differ in another framework; the generators keep only
networks in which noise of 1e-6 flips none, so no tolerance is needed for that.
"""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from bittern.importers import SOURCES, import_checkpoint, save_imported
from bittern.train import load_run
from importers.fixtures import FIXTURES, model_of

BOUND = 1e-5
"""Of the largest logit. Orders of summation differ: 3e-7 was observed; a wrong epsilon in one stem is 1.3e-4."""


@pytest.mark.parametrize("name", FIXTURES)
def test_an_imported_network_gives_its_sources_logits(name: str, tmp_path: Path) -> None:
    fixture = FIXTURES[name]
    imported = import_checkpoint(fixture.unpack(tmp_path), model_of(fixture.name), **fixture.arguments)
    save_imported(imported, tmp_path / "run")
    run = load_run(tmp_path / "run")
    with torch.no_grad():
        logits = run.model(fixture.input())
    expected = fixture.logits()
    assert (logits - expected).abs().max() < BOUND * expected.abs().max()
    read, written = (json.dumps(info.to_json()) for info in (run.info, imported.info))
    assert read == written


@pytest.mark.parametrize("name", FIXTURES)
def test_the_file_tells_the_model_by_itself(name: str, tmp_path: Path) -> None:
    fixture = FIXTURES[name]
    path = fixture.unpack(tmp_path)
    named = import_checkpoint(path, model_of(fixture.name), **fixture.arguments).network
    found = import_checkpoint(path, **fixture.arguments).network
    assert repr(found) == repr(named)
    assert all(torch.equal(tensor, found.state_dict()[key]) for key, tensor in named.state_dict().items())


def test_every_source_has_a_fixture() -> None:
    fixtures = {model_of(fixture.name) for fixture in FIXTURES.values()}
    # Of the same code, and distinguished by their sizes only.
    siblings = {"quicknet-small", "quicknet-large", "binary-densenet-37"}
    assert {source.model for source in SOURCES} == fixtures | siblings


@pytest.mark.parametrize("name", [name for name in FIXTURES if ".pth" in FIXTURES[name].packed.name])
def test_step_1_has_real_weights_and_step_2_binary_ones(name: str, tmp_path: Path) -> None:
    fixture = FIXTURES[name]
    imported = import_checkpoint(fixture.unpack(tmp_path), **fixture.arguments)
    expected = {1: "binary_activations", 2: "binary"}[fixture.arguments["step"]]
    assert imported.info.options["precision"] == expected
    save_imported(imported, tmp_path / "run")
    counted = [t for key, t in load_file(tmp_path / "run" / "model.safetensors").items() if "num_batches" in key]
    assert all(tensor > 0 for tensor in counted)
