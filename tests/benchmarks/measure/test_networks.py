"""Networks that are measured: their numbers, sizes and files."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from benchmarks.measure import macs, networks, split
from benchmarks.measure.driver import Driver
from benchmarks.measure.environments import VENV
from bittern.export import summary


def test_networks_are_random_throughout_and_the_same_every_time() -> None:
    model, again = networks.create("digits-resnet"), networks.create("digits-resnet")
    for (name, a), b in zip(model.state_dict().items(), again.state_dict().values(), strict=True):
        assert torch.equal(a, b)
        assert a.numel() == 1 or len(a.unique()) > 1, name
    factors = torch.cat([module.weight for module in model.modules() if isinstance(module, nn.BatchNorm2d)])
    assert 0 < (factors < 0).float().mean() < 0.3


def test_batch_norm_with_offsets_alone_gets_random_offsets() -> None:
    norm = nn.BatchNorm2d(8)
    norm.register_parameter("weight", None)
    assert len(networks._randomized(norm).get_parameter("bias").unique()) == 8


@pytest.mark.parametrize(
    ("network", "parameters", "macs_range"),
    [
        ("efficientnet-lite0", 4.7e6, (380e6, 407e6)),  # github.com/tensorflow/tpu
        ("mobilenet-v2", 3.5e6, (300e6, 315e6)),  # arXiv:1801.04381
        ("mobilenet-v2-0.5", 2.0e6, (95e6, 101e6)),  # github.com/tensorflow/models
    ],
)
def test_rivals_have_the_published_size(network: str, parameters: float, macs_range: tuple[float, float]) -> None:
    model = networks.build(network)
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(parameters, rel=0.02)
    low, high = macs_range
    assert low < summary(model, networks.input_shape(network)).float_macs < high


def test_every_network_of_the_study_has_a_published_accuracy_and_costs() -> None:
    for network in (*macs.networks(), *macs.PUBLISHED):
        assert macs.published_top1(network, "float") > 0
    assert "digits-resnet" not in macs.networks()


def test_time_is_split_at_the_first_and_the_last_layer_on_bits() -> None:
    nodes = [("XnnpackBackend", 20.0), ("bittern::conv2d_weight_only_packed", 10.0), ("bittern::pack", 2.0)]
    nodes += [("bittern::conv2d_float_packed", 30.0), ("aten::add", 3.0), ("XnnpackBackend", 5.0)]
    nodes += [("bittern::linear", 20.0), ("XnnpackBackend", 10.0)]
    assert split.shares(nodes) == pytest.approx((0.5, 0.3, 0.05, 0.1, 0.05))
    assert split.shares([("XnnpackBackend", 5.0)]) == (0.0, 1.0, 0.0, 0.0, 0.0)


@pytest.mark.slow
def test_a_network_is_exported_in_variants_and_proven(tmp_path: Path) -> None:
    subject = {"network": "digits-resnet"}
    program, index, proof = tmp_path / "net.pte", tmp_path / "net-variants.json", tmp_path / "net-proof.json"
    with Driver(lambda text: None) as driver:
        driver.build(VENV, "network_pte", {**subject, "form": "bittern"}, program)
        driver.build(VENV, "network_variants", subject, index)
        driver.build(VENV, "network_proof", {**subject, "program": str(program)}, proof)
        nodes = driver.worker(VENV, "split", 1).ask("call", module="split", function="nodes", arguments=[str(program)])
    variants = json.loads(index.read_text())
    assert {name: variant["reason"] for name, variant in variants.items()} == {
        "no shortcuts": "",
        "zeros": "nothing to change",
        "ones": "",
    }
    assert all((tmp_path / variant["file"]).exists() == bool(variant["changed"]) for variant in variants.values())
    found = json.loads(proof.read_text())
    assert found["passed"] == 1
    assert found["references_only"] == 0
    assert found["reference_differences"] == found["unpacked"] == found["fallbacks"] == 0
    assert found["bits"] > 0
    assert sum(split.shares(nodes)) == pytest.approx(1.0)
    assert split.shares(nodes)[0] > 0
