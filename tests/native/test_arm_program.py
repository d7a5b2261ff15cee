"""A whole network on aarch64: examples/cpp/run.cc with XNNPACK's and Bittern's kernels, under qemu."""

from pathlib import Path

import pytest

from native import emulated

torch = pytest.importorskip("torch")
pytest.importorskip("executorch")
from deploy import quarters  # noqa: E402
from torch import nn  # noqa: E402

from bittern.export import to_pte  # noqa: E402
from bittern.nn import BinaryConv2d, BinaryLinear  # noqa: E402

pytestmark = pytest.mark.slow


def network() -> nn.Module:
    """Float and binary layers whose every value is a multiple of 1/64 below 2^17, so that float32 rounds nothing."""
    stem, head = nn.Conv2d(3, 40, 3, padding=1), nn.Linear(48, 5)
    for layer, seed in ((stem, 0), (head, 2)):
        layer.weight.data = quarters(*layer.weight.shape, seed=seed)
        assert layer.bias is not None
        layer.bias.data = quarters(*layer.bias.shape, seed=seed + 1)
    pool = nn.AdaptiveAvgPool2d(1)
    binary = [BinaryConv2d(40, 64, 3, padding=1, stride=2), BinaryConv2d(64, 33, 3, padding=1)]
    return nn.Sequential(stem, *binary, pool, nn.Flatten(), BinaryLinear(33, 48), head).eval()


@pytest.mark.parametrize("isa", emulated.CPUS)
def test_a_network_gives_the_modules_very_numbers(emulated_folder: Path, tmp_path: Path, isa: str) -> None:
    torch.manual_seed(0)
    net, x = network(), quarters(1, 3, 8, 8, seed=4)
    report = to_pte(net, x, tmp_path / "net.pte")
    memory = x.permute(0, 2, 3, 1).contiguous().numpy().tobytes()
    printed = emulated.run_model(emulated_folder, isa, report.path, memory)
    logits = torch.tensor([float(line) for line in printed.split()])
    with torch.no_grad():
        assert torch.equal(logits, net(x)[0])
