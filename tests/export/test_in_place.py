"""A layer's float output takes the memory of its residual where nobody else reads it, and only there."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from deploy import quarters
from torch import Tensor, nn

from bittern.export import to_pte
from bittern.export.quiet import third_party_quiet
from bittern.ops import binarize
from bittern.runtime import container, load


class Layer(nn.Module):
    """Values are quarters, so that PyTorch and the engine round nothing."""

    def __init__(self, channels: int = 40, seed: int = 0) -> None:
        super().__init__()
        self.weight = nn.Parameter(quarters(channels, channels, 3, 3, seed=seed))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(F.pad(binarize(x), (1, 1, 1, 1), value=1.0), binarize(self.weight))


class Net(nn.Module):
    """Two layers and their shortcuts, which ``combine`` lays."""

    def __init__(self, combine: Any) -> None:
        super().__init__()
        self.first, self.second, self.combine = Layer(), Layer(seed=1), combine

    def forward(self, x: Tensor) -> Tensor:
        return self.combine(self, F.max_pool2d(x, 2))


def chain(net: Net, x: Tensor) -> Tensor:
    y = net.first(x) + x
    return net.second(y) + y


def read_again(net: Net, x: Tensor) -> Tensor:
    y = net.first(x) + x
    return (net.second(y) + y) * x


def two_sums(net: Net, x: Tensor) -> Tensor:
    return (net.first(x) + x) * (net.second(x) + x)


def exported(path: Path, net: nn.Module, x: Tensor, **options: Any) -> list[bool]:
    """Whether each residual of the program, in order, stands where its layer's float output does."""
    with third_party_quiet():
        from executorch.exir._serialize._program import deserialize_pte_binary

    to_pte(net.eval(), x, path, **options)
    plan = next(
        plan
        for plan in deserialize_pte_binary(container.read_program(path)).program.execution_plan
        if plan.name == "forward"
    )
    found = []
    for instruction in plan.chains[0].instructions:
        call: Any = instruction.instr_args
        name = plan.operators[call.op_index].name if hasattr(call, "op_index") else ""
        if name.startswith("bittern::conv2d"):
            inputs = torch.ops.bittern.conv2d.default._schema.arguments
            residual = plan.values[call.args[[each.name for each in inputs].index("residual")]].val
            output = plan.values[call.args[len(inputs) + ("_packed" in name)]].val
            if hasattr(residual, "allocation_info"):
                found.append(residual.allocation_info == output.allocation_info)
    return found


@pytest.mark.parametrize("batch", [None, 4])
@pytest.mark.parametrize(("combine", "in_place"), [(chain, [True, True]), (read_again, [False, True])])
def test_residuals_that_nobody_reads_again_are_overwritten(
    tmp_path: Path, combine: Any, in_place: list[bool], batch: int | None
) -> None:
    x = quarters(1, 40, 12, 12, seed=2)
    net = Net(combine)
    assert exported(tmp_path / "net.pte", net, x, max_batch=batch) == in_place
    with torch.no_grad():
        assert torch.equal(torch.from_numpy(load(tmp_path / "net.pte")(x.numpy())), net(x))


def test_only_the_last_reader_of_a_value_overwrites_it(tmp_path: Path) -> None:
    x = quarters(1, 40, 12, 12, seed=2)
    net = Net(two_sums)
    assert sorted(exported(tmp_path / "net.pte", net, x)) == [False, True]
    with torch.no_grad():
        assert torch.equal(torch.from_numpy(load(tmp_path / "net.pte")(x.numpy())), net(x))


def test_the_image_itself_is_never_overwritten(tmp_path: Path) -> None:
    class Direct(Net):
        def forward(self, x: Tensor) -> Tensor:
            return self.first(x) + x

    x = quarters(1, 40, 12, 12, seed=2)
    net = Direct(None)
    assert not any(exported(tmp_path / "net.pte", net, x))
    engine, before = load(tmp_path / "net.pte"), x.clone()
    with torch.no_grad():
        assert torch.equal(torch.from_numpy(engine(x.numpy())), net(x))
    assert torch.equal(x, before)


def test_a_stage_of_a_residual_network_lives_in_one_buffer(tmp_path: Path) -> None:
    class Deep(nn.Module):
        def __init__(self, depth: int) -> None:
            super().__init__()
            self.layers = nn.ModuleList(Layer(seed=seed) for seed in range(depth))

        def forward(self, x: Tensor) -> Tensor:
            x = F.max_pool2d(x, 2)
            for layer in self.layers:
                x = layer(x) + x
            return x.mean((2, 3))

    assert exported(tmp_path / "deep.pte", Deep(5), quarters(1, 40, 12, 12)) == [True] * 5


@pytest.mark.parametrize("channels", [40, 200])
@pytest.mark.parametrize("kind", ["conv2d", "linear"])
def test_a_layer_that_adds_its_own_input_does_not_overwrite_it(tmp_path: Path, kind: str, channels: int) -> None:
    """Layers of real-valued inputs read all of them for every strip of filters."""

    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(quarters(channels, channels))

        def forward(self, x: Tensor) -> Tensor:
            if kind == "linear":
                x = F.max_pool2d(x, 6).flatten(1)
                return F.linear(x, binarize(self.weight)) + x
            x = F.max_pool2d(x, 2)
            return F.conv2d(x, binarize(self.weight)[:, :, None, None]) + x

    net, x = Own().eval(), quarters(1, channels, 6, 6, seed=1)
    to_pte(net, x, tmp_path / "own.pte")
    with torch.no_grad():
        assert torch.equal(torch.from_numpy(load(tmp_path / "own.pte")(x.numpy())), net(x))
