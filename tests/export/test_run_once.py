"""A program that might not run, or along another dimension of an image than PyTorch, is tried before it is written."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bittern.export import ExportError, to_pte
from bittern.ops import binarize


class Behind(nn.Module):
    """``step`` behind a binary convolution."""

    def __init__(self, step: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.weight, self.step = nn.Parameter(torch.randn(4, 3, 3, 3)), step

    def forward(self, x: Tensor) -> Tensor:
        return self.step(F.conv2d(binarize(x), binarize(self.weight)) * 0.25)


WEIGHT = torch.randn(8, 4, 3, 3, generator=torch.Generator().manual_seed(0))
ALONG_A_DIMENSION = {
    "softmax": lambda x: F.softmax(x, -1),
    "log_softmax": lambda x: F.log_softmax(x, 1),
    "layer_norm": lambda x: F.layer_norm(x, x.shape[1:]),
    "circular padding": lambda x: F.conv2d(binarize(F.pad(x, (1, 1, 1, 1), mode="circular")), binarize(WEIGHT)),
    "flip": lambda x: x.flip(3),
}
OF_A_DYNAMIC_BATCH = {
    "channel_shuffle": lambda x: F.channel_shuffle(x, 2),
    "stack": lambda x: torch.stack([x, x * 2], 2).flatten(1, 2),
}


@pytest.mark.filterwarnings("ignore:.*slow:bittern.export.ExportWarning")
@pytest.mark.parametrize("name", ALONG_A_DIMENSION)
def test_an_operator_along_a_dimension_follows_the_modules(tmp_path: Path, name: str) -> None:
    net = Behind(ALONG_A_DIMENSION[name]).eval()
    assert to_pte(net, torch.zeros(1, 3, 8, 8), tmp_path / "net.pte").size > 0


@pytest.mark.parametrize("name", OF_A_DYNAMIC_BATCH)
def test_a_view_of_a_dynamic_batch_may_mix_channels(tmp_path: Path, name: str) -> None:
    net = Behind(OF_A_DYNAMIC_BATCH[name]).eval()
    assert to_pte(net, torch.zeros(1, 3, 8, 8), tmp_path / "net.pte", max_batch=5).size > 0


def test_an_operator_that_the_engine_lacks_is_refused(tmp_path: Path) -> None:
    net = Behind(lambda x: x.sort(1).values).eval()
    with pytest.raises(ExportError, match=r"the engine cannot run aten::sort"):
        to_pte(net, torch.zeros(1, 3, 8, 8), tmp_path / "net.pte")
    assert not (tmp_path / "net.pte").exists()


def test_softmax_over_classes_is_exported(tmp_path: Path) -> None:
    net = Behind(lambda x: F.softmax(x.mean((2, 3)), -1)).eval()
    assert to_pte(net, torch.zeros(1, 3, 8, 8), tmp_path / "net.pte").size > 0
