"""The stages of an export as values, and the description of the deployed graph that everything else reads."""

import dataclasses

import pytest
import torch
from torch import nn

from bittern.export import Deployed, ExportError, capture, rewrite
from bittern.export.executorch import lower
from bittern.nn import BinaryConv2d


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(),
        BinaryConv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), BinaryConv2d(64, 64, 1, groups=2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 5),
    )  # fmt: skip


@pytest.fixture(scope="module")
def deployed() -> Deployed:
    return rewrite(capture(network(), torch.zeros(2, 3, 8, 8)))


def test_every_node_has_its_kind_and_its_work(deployed: Deployed) -> None:
    work = [(node.kind, node.path, node.macs) for node in deployed.nodes if node.kind not in ("view", "other")]
    assert work == [
        ("float conv", "0", 2 * 32 * 64 * 27),
        ("pack", "3", 0),
        ("binary conv", "3", 2 * 64 * 64 * 32 * 9),
        ("binary grouped", "5", 2 * 64 * 64 * 32),
        ("pool", "6", 0),
        ("float linear", "8", 2 * 64 * 5),
    ]


def test_values_carry_shapes_and_bytes_and_link_the_nodes(deployed: Deployed) -> None:
    first = next(node for node in deployed.nodes if node.kind == "binary conv")
    (bits,) = first.writes
    assert deployed.values[bits].shape == (2, 8, 8, 2)
    assert deployed.values[bits].dtype == torch.int32
    assert deployed.values[bits].bytes == 2 * 64 * 64 // 8
    (reader,) = (node for node in deployed.nodes if bits in node.reads)
    assert (reader.kind, reader.path) == ("binary grouped", "5")
    assert deployed.values[bits].producer == first.name
    (output,) = deployed.outputs
    assert deployed.values[output].shape == deployed.output_shape == (2, 5)
    assert [value.shape for value in deployed.values.values() if value.producer is None] == [(2, 3, 8, 8)]


def test_refusals_say_why_a_node_is_not_on_bits(deployed: Deployed) -> None:
    named = {node.path: node.refusal for node in deployed.nodes if node.kind.startswith(("float", "binary"))}
    assert named == {"0": "real-valued", "3": None, "5": None, "8": "real-valued"}
    weight_only = rewrite(capture(nn.Sequential(BinaryConv2d(3, 32, 3, binarize_input=False)), torch.zeros(1, 3, 8, 8)))
    (node,) = weight_only.nodes
    assert (node.kind, node.operator) == ("float conv", "bittern::conv2d_weight_only")
    assert node.refusal is not None
    assert "only its weights are packed" in node.refusal


def test_the_operators_are_those_of_the_lowered_program(deployed: Deployed) -> None:
    lowered = lower(deployed)
    assert [operator.op for operator in deployed.operators] == ["pack", "conv2d_threshold", "conv2d"]
    assert lowered.operators == deployed.operators


def test_rewriting_leaves_the_captured_graph_as_it_was() -> None:
    x = torch.randn(1, 3, 8, 8)
    net = network().eval()
    captured = capture(net, x)
    names = [node.name for node in captured.graph.calls()]
    before = captured.graph.module(x)
    first, second = rewrite(captured), rewrite(captured)
    first.graph.constant(next(n for n in first.graph.module.graph.nodes if n.op == "get_attr")).fill_(7.0)  # type: ignore[union-attr]
    assert [node.name for node in captured.graph.calls()] == names == [node.name for node in captured.graph.calls()]
    assert torch.equal(captured.graph.module(x), before)
    assert [node.name for node in first.nodes] == [node.name for node in second.nodes]
    assert captured.graph.reasons == {}


def test_a_dynamic_batch_is_described_by_its_largest() -> None:
    captured = capture(network(), torch.zeros(1, 3, 8, 8), max_batch=4)
    deployed = rewrite(captured)
    assert captured.input_shape == (4, 3, 8, 8)
    assert deployed.output_shape == (4, 5)
    assert next(node.macs for node in deployed.nodes if node.kind == "binary conv") == 4 * 64 * 64 * 32 * 9


def test_stages_are_frozen(deployed: Deployed) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        deployed.outputs = ()  # type: ignore[misc]


def test_the_largest_batch_is_checked_at_capture() -> None:
    with pytest.raises(ExportError, match="max_batch must be an integer of at least 1, got 0"):
        capture(nn.Linear(2, 2), torch.zeros(1, 2), max_batch=0)
