import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from bittern.models import create, list_models
from bittern.nn import (
    AdaBinSign,
    BinaryConv2d,
    BinaryLinear,
    DoReFaWeight,
    FactoredScale,
    MagnitudeAwareSign,
    RPReLU,
    RSign,
    SteHeaviside,
    SteTern,
)
from bittern.optim import split_parameters


@pytest.mark.parametrize("name", list_models())
def test_every_parameter_is_in_exactly_one_group(name: str) -> None:
    with torch.device("meta"):
        model = create(name)
    grouped = [p for group in split_parameters(model).decay_groups(0.1) for p in group["params"]]
    assert sorted(map(id, grouped)) == sorted(map(id, model.parameters()))


@pytest.mark.parametrize("name", list_models())
def test_only_filters_and_matrices_decay(name: str) -> None:
    with torch.device("meta"):
        model = create(name)
    names = {id(p): n for n, p in model.named_parameters()}
    decayed, kept = split_parameters(model).decay_groups(0.1)
    assert (decayed["weight_decay"], kept["weight_decay"]) == (0.1, 0.0)
    assert all(names[id(p)].endswith(".weight") and p.dim() >= 2 for p in decayed["params"])
    kept_names = {names[id(p)] for p in kept["params"]}
    vectors = (".bias", ".sign.shift", ".norm.weight", ".activation.weight")
    assert {name for name in names.values() if name.endswith(vectors)} <= kept_names


@pytest.mark.parametrize(
    "layer", [BinaryConv2d(2, 2, 1, bias=True, scale="learned"), BinaryLinear(2, 2, scale="learned")]
)
def test_scales_and_biases_do_not_decay(layer: object) -> None:
    decayed, _ = split_parameters(layer).decay_groups(0.1)
    assert [p is layer.weight for p in decayed["params"]] == [True]


@pytest.mark.parametrize("case", [2, 3, 4])
def test_factors_of_a_whole_image_do_not_decay_whatever_their_shape(case: int) -> None:
    decayed, kept = split_parameters(FactoredScale(4, 3, 2, case=case)).decay_groups(0.1, decay_shifts=True)
    assert decayed["params"] == []
    assert kept["params"]


def test_frozen_parameters_are_left_out() -> None:
    layer = BinaryLinear(2, 2, True)
    layer.weight.requires_grad_(False)
    assert [len(group["params"]) for group in split_parameters(layer).decay_groups(0.1)] == [0, 1]


@pytest.mark.parametrize("name", list_models())
def test_every_parameter_has_exactly_one_role(name: str) -> None:
    with torch.device("meta"):
        model = create(name)
    split = split_parameters(model)
    named = dict(model.named_parameters())
    assert list(split.parameters) == list(named)
    assert {**split.binary, **split.scales_and_thresholds, **split.rest}.keys() == named.keys()
    assert len(split.binary) + len(split.scales_and_thresholds) + len(split.rest) == len(named)
    layers = {n for n, m in model.named_modules() if isinstance(m, BinaryConv2d | BinaryLinear) and m.binarize_weight}
    assert set(split.binary) == {f"{layer}.weight" for layer in layers}


def test_layers_say_which_parameters_are_scales_and_thresholds() -> None:
    model = nn.Sequential(
        BinaryConv2d(3, 4, 3, bias=True, scale="learned"),
        RSign(4),
        nn.BatchNorm2d(4),
        RPReLU(4),
        FactoredScale(4, 2, 2),
    )
    split = split_parameters(model)
    assert set(split.binary) == {"0.weight"}
    own = {"0.scale", "1.shift", "3.weight", "3.shift_in", "3.shift_out", "4.channel", "4.row", "4.column"}
    assert set(split.scales_and_thresholds) == own
    assert set(split.rest) == {"0.bias", "2.weight", "2.bias"}


def test_weights_that_are_used_as_they_are_are_not_binary() -> None:
    """Step 1 of two-step training."""
    assert set(split_parameters(BinaryLinear(2, 2, binarize_weight=False)).rest) == {"weight"}


class Own(nn.Module):
    latent_weights = ("kernel",)
    scales_and_thresholds = ("gain",)

    def __init__(self) -> None:
        super().__init__()
        self.kernel, self.other = nn.Parameter(torch.ones(3, 3)), nn.Parameter(torch.ones(3))
        self.register_parameter("gain", None)


def test_a_module_of_ones_own_declares_its_roles() -> None:
    split = split_parameters(nn.Sequential(Own()))
    assert (set(split.binary), set(split.scales_and_thresholds), set(split.rest)) == ({"0.kernel"}, set(), {"0.other"})


def test_a_role_for_a_parameter_that_is_not_there_is_refused() -> None:
    module = Own()
    module.latent_weights = ("kernels",)
    with pytest.raises(ValueError, match=r"latent_weights of Own \(0\) names 'kernels'.* are: kernel, other"):
        split_parameters(nn.Sequential(module))


def test_a_shared_weight_is_latent_if_one_of_its_layers_says_so() -> None:
    model = nn.ModuleList([nn.Linear(2, 2), BinaryLinear(2, 2)])
    model[1].weight = model[0].weight
    assert set(split_parameters(model).binary) == {"0.weight"}


@pytest.mark.parametrize("transform", [MagnitudeAwareSign(), DoReFaWeight(1), SteHeaviside()], ids=repr)
@pytest.mark.parametrize("chain", [(), (nn.Identity(),)], ids=["alone", "behind another"])
def test_what_a_parametrization_binarizes_is_a_latent_weight(transform: nn.Module, chain: tuple[nn.Module]) -> None:
    conv = nn.Conv2d(2, 3, 1)
    for step in (*chain, transform):
        parametrize.register_parametrization(conv, "weight", step)
    split = split_parameters(nn.Sequential(conv))
    assert split.binary == {"0.parametrizations.weight.original": conv.parametrizations.weight.original}
    assert set(split.rest) == {"0.bias"}


@pytest.mark.parametrize("transform", [nn.Identity(), DoReFaWeight(2), SteTern(), AdaBinSign()], ids=repr)
def test_what_a_parametrization_makes_of_more_values_or_not_by_the_sign_is_no_latent_weight(
    transform: nn.Module,
) -> None:
    conv = parametrize.register_parametrization(nn.Conv2d(2, 3, 1), "weight", transform)
    assert split_parameters(conv).binary == {}


def test_a_binary_layer_whose_weight_is_parametrized_has_its_original_as_latent_weight() -> None:
    layer = parametrize.register_parametrization(BinaryLinear(2, 2), "weight", nn.Tanh())
    assert set(split_parameters(layer).binary) == {"parametrizations.weight.original"}


def test_the_groups_of_adambnns_code_decay_filters_and_shifts() -> None:
    with torch.device("meta"):
        model = create("reactnet-a")
    decayed, kept = split_parameters(model).decay_groups(5e-6, decay_shifts=True, decay_matrices=False)
    # 32 filters and 78 shifts; slopes, BatchNorm and the classifier are not among them.
    assert sorted(p.dim() for p in decayed["params"]).count(4) == 32
    assert (len(decayed["params"]), decayed["weight_decay"], kept["weight_decay"]) == (110, 5e-6, 0.0)
    assert len(decayed["params"]) + len(kept["params"]) == len(list(model.parameters()))
