import json

import pytest
import torch
from torch import nn

from bittern.export import ExportError, summary
from bittern.models import create
from bittern.nn import BinaryConv2d, BinaryLinear, RSign
from bittern.ops.binarize import binarize


class Signs(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return binarize(x)


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


def test_real_weights_on_signs_count_as_float_macs_with_one_bit_inputs() -> None:
    layer = rows(nn.Sequential(BinaryConv2d(4, 4, 1, binarize_weight=False)), (4, 3, 3))["0"]
    assert (layer.input_bits, layer.float_macs, layer.binary_macs, layer.parameters) == (1, 144, 0, {32: 16})


def test_signs_are_followed_through_padding_pooling_and_reshaping() -> None:
    model = nn.Sequential(
        RSign(2), nn.MaxPool2d(2), nn.ZeroPad2d(1), BinaryConv2d(2, 2, 3, binarize_input=False), nn.MaxPool2d(2),
        Signs(), nn.Flatten(), BinaryLinear(2, 3, binarize_input=False),
    )  # fmt: skip
    layers = rows(model, (2, 4, 4))
    assert (layers["3"].binary_macs, layers["7"].binary_macs) == (2 * 4 * 18, 6)


def test_zeros_between_signs_are_no_signs_for_a_linear_layer() -> None:
    model = nn.Sequential(Signs(), nn.ZeroPad2d(1), nn.Flatten(), BinaryLinear(32, 3, binarize_input=False))
    layer = rows(model, (2, 2, 2))["3"]
    assert (layer.binary_macs, layer.float_macs) == (0, 96)
    assert layer.not_binary is not None
    assert layer.not_binary.endswith("no longer signs after pad in 1")


def test_a_module_of_the_users_own_counts_by_its_operators() -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.kernel = nn.Parameter(torch.randn(6, 5))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return nn.functional.linear(binarize(x), binarize(self.kernel))

    layer = rows(nn.Sequential(Own()), (5,))["0"]
    assert (layer.kind, layer.parameters, layer.binary_macs) == ("Own", {1: 30}, 30)


def test_a_product_of_signs_that_has_no_packed_form_counts_as_float() -> None:
    class Volumes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(4, 6, 1, 2, 2))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return nn.functional.conv3d(binarize(x).unsqueeze(2), binarize(self.weight)).squeeze(2)

    layer = rows(nn.Sequential(Volumes()), (6, 3, 3))["0"]
    assert (layer.input_bits, layer.binary_macs, layer.float_macs) == (1, 0, 4 * 2 * 2 * 6 * 4)
    assert layer.not_binary is not None
    assert "aten::conv3d has no packed form" in layer.not_binary


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


def test_strided_grouped_transposed_and_one_dimensional_convolutions_are_counted_by_hand() -> None:
    net = nn.Sequential(
        nn.Conv2d(4, 8, 3, stride=2, padding=1, groups=2), nn.ConvTranspose2d(8, 2, 2, stride=2), nn.Flatten(2),
        nn.Conv1d(2, 3, 5, padding=2, dilation=1),
    )  # fmt: skip
    layers = rows(net, (4, 6, 6))
    assert layers["0"].float_macs == 8 * 9 * (2 * 9)
    assert layers["1"].float_macs == 8 * 9 * (2 * 4)  # every input pixel meets every tap
    assert layers["3"].float_macs == 3 * 36 * (2 * 5)


def test_attention_counts_both_of_its_products() -> None:
    class Attention(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return nn.functional.scaled_dot_product_attention(x, x, x)

    assert summary(Attention(), (2, 5, 8)).float_macs == 2 * 2 * 5 * 5 * 8


def test_weights_that_are_signs_times_one_scale_a_filter_are_binary() -> None:
    class Scaled(nn.Module):
        def __init__(self, shape: tuple[int, ...]) -> None:
            super().__init__()
            self.weight, self.scale = nn.Parameter(torch.randn(4, 3, 1, 1)), nn.Parameter(torch.rand(shape))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return nn.functional.conv2d(binarize(x), binarize(self.weight) * self.scale)

    assert rows(nn.Sequential(Scaled((4, 1, 1, 1))), (3, 3, 3))["0"].binary_macs == 108
    assert rows(nn.Sequential(Scaled((4, 3, 1, 1))), (3, 3, 3))["0"].binary_macs == 0


def test_binary_weights_count_one_bit_and_all_others_eight_in_the_small_size() -> None:
    total = summary(nn.Sequential(BinaryConv2d(32, 8, 1), nn.Flatten(), nn.Linear(8, 2)), (32, 1, 1))
    assert total.small_bytes == 32 * 8 / 8 + (8 * 2 + 2)
    assert total.bytes == 32 * 8 / 8 + 4 * (8 * 2 + 2)


def test_larq_counts_the_moving_statistics_too() -> None:
    total = summary(nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)), (3, 2, 2))
    assert sum(total.parameters.values()) == 16 + 8
    assert total.larq_parameters == 16 + 8 + 8


@pytest.mark.parametrize(
    ("model", "shape", "expected"),
    [
        (nn.Sequential(nn.Linear(4, 4), BinaryLinear(4, 4), nn.Linear(4, 2)), (4,), {
            "0": "first layer: real-valued weights and input",
            "2": "last layer: real-valued weights and input",
        }),
        (nn.Sequential(BinaryLinear(4, 4, binarize_input=False), BinaryLinear(4, 4)), (4,), {
            "0": "first layer: its input is not binarized: only its weights are packed",
        }),
        (nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)), (4,), {
            "0": "first layer: real-valued weights and input",
            "1": "float on purpose: real-valued weights and input",
            "2": "last layer: real-valued weights and input",
        }),
        (nn.Sequential(nn.Linear(4, 4), BinaryLinear(4, 4, binarize_weight=False), BinaryLinear(4, 4)), (4,), {
            "0": "first layer: real-valued weights and input",
            "1": "its input is binary, but 4 of its 4 filters take more values than +s and -s: binarize its weights",
        }),
        (nn.Sequential(nn.Linear(4, 4), Signs(), nn.ReLU(), BinaryLinear(4, 4, binarize_input=False), nn.ReLU(),
                       BinaryLinear(4, 4)), (4, 4), {
            "0": "first layer: real-valued weights and input",
            "3": "its input is not binarized: only its weights are packed, no longer signs after relu in 2",
        }),
    ],
)  # fmt: skip
def test_reasons_follow_the_data(model: nn.Module, shape: tuple[int, ...], expected: dict[str, str]) -> None:
    layers = rows(model, shape)
    assert {path: layer.not_binary for path, layer in layers.items() if layer.not_binary} == expected


def test_a_product_of_two_activations_says_so() -> None:
    class Product(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return binarize(x) @ x.transpose(-1, -2)

    (layer,) = summary(Product(), (3, 4)).layers
    assert layer.not_binary == "it multiplies two activations, for which there is no packed operator"


def test_a_network_that_cannot_be_exported_is_refused_with_the_module_and_the_way_out() -> None:
    class NeedsValues(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(ExportError, match=r"1 \(NeedsValues\) decides by values .*torch.where"):
        summary(nn.Sequential(nn.Linear(4, 4), NeedsValues()), (4,))


def test_a_wrong_input_is_told_with_its_module() -> None:
    with pytest.raises(ExportError, match=r"0 \(Linear\) fails for an input of shape \[1, 5\]"):
        summary(nn.Sequential(nn.Linear(4, 4)), (5,))


def test_a_model_without_values_is_told_to_be_built_on_the_cpu() -> None:
    with torch.device("meta"):
        model = nn.Linear(4, 4)
    with pytest.raises(ExportError, match=r"weight is on the meta device .*build Linear on the CPU"):
        summary(model, (4,))


@pytest.mark.parametrize("transform", ["none", "balanced"])
@pytest.mark.parametrize("estimator", ["ste", "ede"])
def test_weights_that_are_standardized_before_their_sign_is_taken_are_one_bit_each(
    transform: str, estimator: str
) -> None:
    layer = BinaryConv2d(8, 4, 3, weight_transform=transform, estimator=estimator, weight_estimator=estimator)
    counted = summary(nn.Sequential(layer), (8, 6, 6))
    assert counted.parameters == {1: 8 * 4 * 9}
    assert counted.unlearned == 0


def test_a_weight_that_two_modules_share_is_counted_in_both() -> None:
    first, second = BinaryConv2d(4, 4, 1), BinaryConv2d(4, 4, 1)
    second.weight = first.weight
    assert summary(nn.Sequential(first, second), (4, 3, 3)).parameters == {1: 32}


def test_a_module_that_is_called_twice_multiplies_twice() -> None:
    layer = BinaryConv2d(4, 4, 1)
    (row,) = summary(nn.Sequential(layer, layer), (4, 3, 3)).layers
    assert (row.path, row.binary_macs, row.parameters) == ("0", 2 * 16 * 9, {1: 16})


@pytest.mark.parametrize("sign", ["where", "compare", "copysign"])
def test_weights_are_one_bit_however_their_sign_is_spelt(sign: str) -> None:
    class Signed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(4, 3, 1, 1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            w, one = self.weight, torch.ones_like(self.weight)
            signs = {
                "where": lambda: torch.where(w >= 0, one, -one),
                "compare": lambda: 2.0 * (w > 0).float() - 1.0,
                "copysign": lambda: torch.copysign(one, w),
            }
            return nn.functional.conv2d(binarize(x), signs[sign]() * w.abs().mean((1, 2, 3), keepdim=True))

    assert summary(nn.Sequential(Signed()), (3, 3, 3)).parameters == {1: 12}
