"""Habits of research code: modules that read and write their own parameters, or that cannot be copied."""

from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from deploy import Apply, Deployed, quarters
from torch import Tensor, nn
from torch.nn.utils import prune

from bittern.export import ExportError, passes, to_pte
from bittern.export.capture import capture
from bittern.runtime import load

IMAGE = quarters(2, 6, 7, 5)


class Binary(nn.Module):
    """A binary layer whose code is in the functions that it is given."""

    def __init__(self, **options: Callable[..., Any]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.options = options
        self.conv, self.norm = nn.Conv2d(6, 8, 3, bias=False), nn.BatchNorm2d(6)
        nn.init.uniform_(self.norm.bias, 0.3, 0.4)
        self.register_buffer("temperature", torch.zeros(1))
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(x)
        if "first" in self.options:
            self.options["first"](self)
        x = self.options.get("activation", lambda _, x: torch.sign(x))(self, x)
        weight = self.options.get("weight", lambda net: net.conv.weight.sign())(self)
        return F.conv2d(x, weight)


def by_temperature(net: Binary) -> Tensor:
    return net.conv.weight.sign() if net.temperature < 1e-7 else net.conv.weight


def checked(net: Binary) -> None:
    assert net.temperature.item() == 0
    assert (net.conv.weight.abs() < 10).all()


def replaced(net: Binary, x: Tensor) -> Tensor:
    x.data = x.data.sign()
    return x


def filled(_: Binary, x: Tensor) -> Tensor:
    y = x.new_zeros(x.shape)
    y[x >= 0] = 1
    y[x < 0] = -1
    return y


def replaced_weight(net: Binary) -> Tensor:
    if not hasattr(net.conv.weight, "org"):
        net.conv.weight.org = net.conv.weight.data.clone()
    net.conv.weight.data = net.conv.weight.org.sign()
    return net.conv.weight


HABITS: dict[str, dict[str, Callable[..., Any]]] = {
    "if on a buffer": {"weight": by_temperature},
    "assert on a buffer and on weights": {"first": checked},
    "item of weights": {
        "weight": lambda net: net.conv.weight.clamp(-1, 1).sign() * net.conv.weight.abs().mean().item()
    },
    "float of weights": {"weight": lambda net: net.conv.weight.sign() * float(net.conv.weight.abs().max())},
    "weight.data.clamp_": {"first": lambda net: net.conv.weight.data.clamp_(-0.1, 0.1)},
    "weight.data.copy_": {"first": lambda net: net.conv.weight.data.copy_(net.conv.weight.sign())},
    "weight.data = ": {"weight": replaced_weight},
    "weight.data.sub_": {
        "first": lambda net: net.conv.weight.data.sub_(net.conv.weight.data.mean(1, keepdim=True)).clamp_(-1, 1)
    },
    "x.data = ": {"activation": replaced},
    "x[mask] = ": {"activation": filled},
    "cuda of a constant": {"weight": lambda net: net.conv.weight.sign() * torch.ones(1).to(net.conv.weight.device)},
}


@pytest.mark.parametrize("name", HABITS)
def test_a_habit_of_research_code_is_packed(name: str) -> None:
    module = Binary(**HABITS[name])
    deployed = Deployed(module, IMAGE)
    assert deployed.operators == ["pack", "conv2d"]
    with torch.no_grad():
        expected, result = Binary(**HABITS[name])(IMAGE.clone()), deployed.graph.module(IMAGE)
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-4)


def test_cuda_calls_in_forward_stay_on_the_cpu() -> None:
    module = Binary(weight=lambda net: net.conv.weight.cuda().sign() * torch.full((1,), 2.0, device="cuda"))
    graph = capture(module, IMAGE).graph
    passes.run(graph)
    with torch.no_grad():
        expected = Binary(weight=lambda net: net.conv.weight.sign() * 2.0)(IMAGE)
    torch.testing.assert_close(graph.module(IMAGE), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ["weight.data.clamp_", "if on a buffer", "weight.data = "])
def test_the_users_module_keeps_its_weights(name: str) -> None:
    module = Binary(**HABITS[name])
    before = module.conv.weight.detach().clone()
    capture(module, IMAGE)
    assert torch.equal(module.conv.weight, before)
    assert not hasattr(module.conv.weight, "org")


def counted(net: Binary) -> Tensor:
    net.temperature += 1
    return net.conv.weight.sign() * net.temperature


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"weight": counted}, "writes into temperature"),
        ({"activation": lambda _, x: x.sign() if x.sum() > 0 else x}, "decides by values"),
        ({"activation": lambda _, x: x.sign() * x.mean().item()}, "reads a number"),
    ],
)
def test_what_depends_on_the_input_or_on_earlier_calls_is_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ExportError, match=text):
        capture(Binary(**options), IMAGE)


def pruned() -> Binary:
    module = Binary()
    prune.l1_unstructured(module.conv, "weight", 0.3)
    return module


def weight_normed() -> Binary:
    module = Binary()
    nn.utils.parametrizations.weight_norm(module.conv)
    return module


def with_attribute(value: Callable[[Binary], object]) -> Binary:
    module = Binary()
    module.attribute = value(module)
    return module


@pytest.mark.parametrize(
    ("build", "operators"),
    [
        (pruned, ["pack", "conv2d", "conv2d"]),  # zeros among the signs
        (weight_normed, ["pack", "conv2d"]),
        (lambda: with_attribute(lambda net: net.conv.weight * 2), ["pack", "conv2d"]),
        (lambda: with_attribute(lambda _: Lock()), ["pack", "conv2d"]),
        (lambda: with_attribute(lambda _: iter(())), ["pack", "conv2d"]),
        (lambda: with_attribute(lambda _: (i for i in range(3))), ["pack", "conv2d"]),
    ],
    ids=["pruned", "weight_norm", "tensor of a gradient graph", "lock", "iterator", "generator"],
)
def test_a_module_that_deepcopy_refuses_is_exported(build: Callable[[], Binary], operators: list[str]) -> None:
    deployed = Deployed(build(), IMAGE)
    assert deployed.operators == operators
    with torch.no_grad():
        expected, result = deployed.module(IMAGE), deployed.graph.module(IMAGE)
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-4)


def test_an_exported_program_and_a_method_are_exported(tmp_path: Path) -> None:
    module = Binary()
    with torch.no_grad():
        expected = module(IMAGE)
    for name, exported in {"program": torch.export.export(module, (IMAGE,)), "method": module.forward}.items():
        export = to_pte(exported, IMAGE, tmp_path / f"{name}.pte")  # type: ignore[arg-type]
        assert export.explanation.unpacked == []
        result = torch.from_numpy(load(export.path)(IMAGE.numpy()))
        torch.testing.assert_close(result, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("exported", "text"),
    [(Binary, r"Binary is a class, .* Binary\(\)"), (torch.sign, "sign is no torch.nn.Module"), (3, "int is no")],
)
def test_what_is_no_module_is_refused_with_the_way_out(exported: object, text: str) -> None:
    with pytest.raises(ExportError, match=text):
        capture(exported, IMAGE)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "product",
    [
        lambda x, w, b: x @ w.t(),
        lambda x, w, b: torch.mm(x, w.t()) + b,
        lambda x, w, b: torch.addmm(b, x, w.t()),
    ],
)
def test_a_product_with_a_matrix_of_signs_is_a_linear_layer(product: Callable[..., Tensor]) -> None:
    def function(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
        return product(torch.where(x >= 0, 1.0, -1.0), torch.where(w >= 0, 1.0, -1.0), b)

    deployed = Deployed(Apply(function, w=quarters(8, 20), b=quarters(8)), quarters(3, 20))
    assert deployed.operators == ["pack", "linear"]
    deployed.check_equal()


def test_a_product_with_another_matrix_stays() -> None:
    function = Apply(lambda x, w: torch.where(x >= 0, 1.0, -1.0) @ w.t(), w=quarters(8, 20))
    assert "aten::linear" not in Deployed(function, quarters(3, 20)).operators
