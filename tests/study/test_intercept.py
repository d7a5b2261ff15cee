"""Activations are found where they pass the sign, in whatever module."""

import pytest
import torch
from torch import Tensor, nn

from bittern import models
from bittern.export import capture
from bittern.export.graph import Provenance
from bittern.nn import BinaryConv2d
from bittern.ops import binarize
from bittern.study.intercept import Interception
from study.small import network


def seen(model: nn.Module, x: Tensor, *, passes: int = 1) -> dict[str, list[Tensor]]:
    found: dict[str, list[Tensor]] = {}
    interception = Interception(model, lambda site, module, value: found.setdefault(site, []).append(value.clone()))
    interception.open()
    for _ in range(passes):
        model(x)
    interception.close()
    return found


def test_sites_are_the_modules_that_binarize_activations() -> None:
    found = seen(network(), torch.randn(16, 6))
    assert list(found) == ["2", "4", "7"]  # BinaryLinear, RSign, a user's own; no weights
    assert all(len(values) == 1 and values[0].shape == (16, 8) for values in found.values())


def test_what_is_seen_is_what_enters_the_sign() -> None:
    model = nn.Sequential(BinaryConv2d(2, 3, 3))
    x = torch.randn(1, 2, 5, 5)
    assert torch.equal(seen(model, x)["0"][0], x)


class Twice(nn.Module):
    """Standardises its weight before the sign, and binarizes two activations."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 4))

    def forward(self, x: Tensor) -> Tensor:
        weight = binarize((self.weight - self.weight.mean(1, keepdim=True)) / self.weight.std())
        return binarize(binarize(x) @ weight + 0.5)


def test_a_second_sign_has_a_number_and_standardised_weights_are_no_activations() -> None:
    found = seen(nn.Sequential(Twice(), Twice()), torch.randn(2, 4))
    assert list(found) == ["0", "0#2", "1", "1#2"]


def test_the_model_itself_may_be_the_layer() -> None:
    assert list(seen(Twice(), torch.randn(2, 4), passes=2)) == ["Twice", "Twice#2"]


def test_the_operator_itself_is_seen_too() -> None:
    class Raw(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = torch.ops.bittern.binarize(x)
            return y

    assert list(seen(Raw(), torch.randn(2, 2))) == ["Raw"]


def test_a_shared_module_is_one_site() -> None:
    layer = BinaryConv2d(2, 2, 1)
    found = seen(nn.Sequential(layer, layer), torch.randn(1, 2, 3, 3))
    assert {site: len(values) for site, values in found.items()} == {"0": 2}


def test_evaluation_is_not_looked_at() -> None:
    model = network()
    with torch.no_grad():
        assert seen(model, torch.randn(4, 6)) == {}
    assert seen(model.eval(), torch.randn(4, 6)) == {}


def test_hooks_and_mode_are_gone_after_an_error_in_the_forward_pass() -> None:
    model = network()
    interception = Interception(model, lambda site, module, value: None)
    interception.open()
    with pytest.raises(RuntimeError):
        model(torch.randn(4, 5))
    model(torch.randn(4, 6))  # goes on
    interception.close()
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert torch.utils._python_dispatch._len_torch_dispatch_stack() == 0


@pytest.mark.parametrize("name", ["digits-resnet", "cifar-resnet"])
def test_every_sign_of_a_network_of_the_registry_is_a_site(name: str) -> None:
    info = models.get_model(name)
    model = models.create(name)
    found = seen(model, torch.randn(2, info.in_channels, info.image_size, info.image_size))
    graph = capture(model, torch.zeros(1, info.in_channels, info.image_size, info.image_size)).graph
    signs = {
        Provenance.of(node).path
        for node in graph.calls(torch.ops.bittern.binarize.default)
        if node.all_input_nodes[0].op == "call_function"  # not a weight
    }
    assert signs
    assert set(found) == signs
