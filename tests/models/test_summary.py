import json

import torch
from torch import nn

from bittern.models import create, summary
from bittern.nn import BinaryConv2d, BinaryLinear, RSign
from bittern.ops.binarize import binarize


def rows(model: nn.Module, shape: tuple[int, ...]) -> dict:
    return {layer.path: layer for layer in summary(model, shape).layers}


def test_figures_of_a_small_network_are_those_counted_by_hand() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), BinaryConv2d(8, 4, 3, stride=2, padding=1), nn.Flatten(), nn.Linear(16, 5)
    )
    stem, binary, head = summary(model, (3, 4, 4)).layers
    assert (stem.path, stem.kind, stem.input_bits, stem.output_shape) == ("0", "Conv2d", 32, (8, 4, 4))
    assert (stem.parameters, stem.float_macs, stem.binary_macs) == ({32: 8 * 27 + 8}, 8 * 16 * 27, 0)
    assert (binary.input_bits, binary.output_shape, binary.parameters) == (1, (4, 2, 2), {1: 4 * 72})
    assert (binary.float_macs, binary.binary_macs, binary.bytes) == (0, 4 * 4 * 72, 4 * 72 / 8)
    assert (head.parameters, head.float_macs, head.bytes) == ({32: 85}, 80, 340)


def test_totals_are_the_sums_of_the_layers() -> None:
    total = summary(create("digits-resnet"), (1, 8, 8))
    assert total.parameters == {1: sum(x.parameters.get(1, 0) for x in total.layers), 32: 14026}
    assert total.binary_macs == sum(x.binary_macs for x in total.layers)
    assert total.bytes == total.parameters[1] / 8 + 14026 * 4
    assert total.float_bytes == 4 * sum(total.parameters.values())


def test_a_network_without_memory_for_its_weights_counts_the_same() -> None:
    with torch.device("meta"):
        model = create("digits-resnet")
    assert summary(model, (1, 8, 8)) == summary(create("digits-resnet"), (1, 8, 8))


def test_real_weights_on_signs_count_as_float_macs_with_one_bit_inputs() -> None:
    layer = rows(nn.Sequential(BinaryConv2d(4, 4, 1, binarize_weight=False)), (4, 3, 3))["0"]
    assert (layer.input_bits, layer.float_macs, layer.binary_macs, layer.parameters) == (1, 144, 0, {32: 16})


def test_signs_are_followed_through_padding_pooling_and_reshaping() -> None:
    model = nn.Sequential(
        RSign(2), nn.MaxPool2d(2), nn.ZeroPad2d(1), nn.Flatten(), BinaryLinear(32, 3, binarize_input=False)
    )
    assert rows(model, (2, 4, 4))["4"].binary_macs == 96


def test_a_module_of_the_users_own_counts_by_its_operators() -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.kernel = nn.Parameter(torch.randn(6, 5))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return binarize(x) @ binarize(self.kernel).T

    layer = rows(nn.Sequential(Own()), (5,))["0"]
    assert (layer.kind, layer.parameters, layer.binary_macs) == ("Own", {1: 30}, 30)


def test_a_layer_that_does_not_run_is_listed_without_a_shape() -> None:
    class Skips(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.unused = nn.Linear(2, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    assert rows(Skips(), (2,))["unused"].output_shape is None


def test_json_form_holds_layers_and_totals() -> None:
    value = json.loads(json.dumps(summary(create("digits-resnet"), (1, 8, 8)).to_json()))
    assert value["binary_mac_share"] > 0.95
    assert value["layers"][0]["path"] == "stem.0"
    assert value["parameters"]["1"] == 479232


def test_training_mode_and_statistics_are_left_alone() -> None:
    model = create("digits-resnet").train()
    model.blocks[0].eval()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    summary(model, (1, 8, 8))
    assert model.training
    assert not model.blocks[0].training
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert not model._forward_hooks
