"""Where the ExecuTorch back end copies tensors into another order of memory, and where it does not."""

import warnings
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from deploy import Apply, Deployed, quarters
from torch import Tensor, nn

from bittern import runtime
from bittern.export import to_pte
from bittern.export.executorch.memory_order import order_operands
from bittern.export.graph import operator_name
from bittern.nn import BinaryConv2d
from bittern.ops import binarize


def layer_with_shortcut(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    y = F.conv2d(x, a)
    return F.conv2d(binarize(y), binarize(b)) + y


def ordered(deployed: Deployed) -> list[str]:
    """The operators behind `order_operands`, which give the module's result."""
    order_operands(deployed.graph)
    deployed.check_equal()
    return [operator_name(node).removeprefix("bittern::") for node in deployed.graph.calls()]


@pytest.mark.parametrize("channels", [1, 3])
def test_images_that_are_channels_last_already_are_not_copied(channels: int) -> None:
    module = Apply(layer_with_shortcut, a=quarters(8, channels, 3, 3), b=quarters(8, 8, 1, 1))
    assert ordered(Deployed(module, quarters(2, channels, 6, 6))) == ["aten::conv2d", "pack", "conv2d"]


def test_a_residual_that_is_a_view_is_copied() -> None:
    def layers(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
        y = F.conv2d(x, a)
        return F.conv2d(binarize(y), binarize(b)) + y.flatten(2).view(y.shape)

    module = Apply(layers, a=quarters(8, 3, 3, 3), b=quarters(8, 8, 1, 1))
    operators = ordered(Deployed(module, quarters(2, 3, 6, 6)))
    assert operators[-2:] == ["aten::_to_copy", "conv2d"]


def calls(path: Path, function: object, channels: int = 6) -> list[str]:
    """What the engine calls, one after another, for ``function`` on the result of a binary layer."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 32, 1), BinaryConv2d(32, channels, 1), Apply(function))  # type: ignore[arg-type]
    x = torch.randn(1, 3, 9, 7)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        to_pte(net.eval(), x, path)
    engine = runtime.load(path)
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(engine(x.numpy())), net(x), rtol=1e-4, atol=1e-4)
    names = [node.name for node in engine.profile(x.numpy(), runs=1)]
    return names[names.index(next(name for name in names if "conv2d" in name)) + 1 :]


def test_an_elementwise_kernel_takes_images_as_they_are(tmp_path: Path) -> None:
    assert calls(tmp_path / "m.pte", torch.erf) == ["erf"]


def test_xnnpack_copies_what_other_kernels_read(tmp_path: Path) -> None:
    assert calls(tmp_path / "m.pte", lambda x: x.flip(3)) == ["XnnpackBackend", "flip"]


def test_several_readers_share_a_copy(tmp_path: Path) -> None:
    called = calls(tmp_path / "m.pte", lambda x: x.flip(3) + x.flip(2))
    assert called[:3] == ["XnnpackBackend", "flip", "flip"]


def test_what_follows_a_kernel_in_contiguous_memory_needs_no_copy(tmp_path: Path) -> None:
    assert calls(tmp_path / "m.pte", lambda x: x.flip(3).cumsum(1).erf()) == [
        *("XnnpackBackend", "flip", "cumsum", "erf"),
    ]


def test_an_image_of_one_channel_needs_no_copy(tmp_path: Path) -> None:
    assert calls(tmp_path / "m.pte", lambda x: x.flip(3), channels=1) == ["flip"]
