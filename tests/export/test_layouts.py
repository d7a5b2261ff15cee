"""Images that change hands between XNNPACK, Bittern's operators and ExecuTorch's kernels arrive as they left."""

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from layout_cases import (
    IMAGE,
    OF_ANY_CHANNELS,
    ONE_CHANNEL,
    SHORTCUTS,
    STEPS,
    Around,
    between_bits,
    between_floats,
)
from torch import Tensor, nn

import bittern
from bittern.export import executorch, to_pte
from bittern.export.capture import capture, channels_last
from bittern.export.rewrite import rewrite


def check(path: Path, net: nn.Module, channels: int, size: tuple[int, int] = IMAGE, **settings: object) -> None:
    """The engine gives what the module gives, within 1e-4 of the largest value."""
    x = torch.randn(2, channels, *size, generator=torch.Generator().manual_seed(1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        to_pte(net, x[:1], path, **{"check": False, **settings})  # type: ignore[arg-type]
    result = torch.from_numpy(bittern.runtime.load(path)(x.numpy()))
    with torch.no_grad():
        expected: Tensor = net(x)
    assert result.shape == expected.shape
    assert float((result - expected).abs().max()) <= 1e-4 * float(expected.abs().max())


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("case", [*ONE_CHANNEL, *SHORTCUTS])
def test_images_of_one_channel_and_shortcuts_of_any_kind(case: str, channels: int, tmp_path: Path) -> None:
    torch.manual_seed(0)
    check(tmp_path / "m.pte", {**ONE_CHANNEL, **SHORTCUTS}[case](channels).eval(), channels)


@pytest.mark.slow
@pytest.mark.parametrize("around", [between_floats, between_bits])
@pytest.mark.parametrize("step", STEPS)
def test_steps_that_are_not_of_xnnpack(step: str, around: Around, tmp_path: Path) -> None:
    torch.manual_seed(0)
    check(tmp_path / "m.pte", around(STEPS[step], 6).eval(), 3)


@pytest.mark.slow
@pytest.mark.parametrize("size", [IMAGE, (1, 1), (1, 8)])
@pytest.mark.parametrize("channels", [1, 32])
@pytest.mark.parametrize("step", OF_ANY_CHANNELS)
def test_steps_on_images_of_any_shape(step: str, channels: int, size: tuple[int, int], tmp_path: Path) -> None:
    torch.manual_seed(0)
    check(tmp_path / "m.pte", between_bits(OF_ANY_CHANNELS[step], channels).eval(), 3, size)


@pytest.mark.slow
@pytest.mark.parametrize("step", OF_ANY_CHANNELS)
def test_steps_of_a_dynamic_batch(step: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    check(tmp_path / "m.pte", between_bits(OF_ANY_CHANNELS[step], 6).eval(), 3, max_batch=4)


INT8: dict[str, Callable[[int], nn.Module]] = {
    "from a binary layer": ONE_CHANNEL["binary to one to float"],
    "to a binary layer": ONE_CHANNEL["one to binary"],
    "one channel": ONE_CHANNEL["a convolution"],
    "a kernel of even size": lambda c: nn.Sequential(nn.Conv2d(c, 8, (4, 3), padding="same"), nn.Conv2d(8, 4, 2)),
    "padding of its own": lambda c: nn.Sequential(nn.ZeroPad2d((0, 1, 2, 1)), nn.Conv2d(c, 8, 3, stride=2, padding=1)),
}


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("case", INT8)
def test_layers_on_integers_give_what_their_simulation_gives(case: str, channels: int, tmp_path: Path) -> None:
    torch.manual_seed(0)
    net, x = INT8[case](channels).eval(), torch.randn(4, channels, *IMAGE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        to_pte(net, x[:1], tmp_path / "m.pte", int8=x)
    simulation = executorch.quantize(rewrite(capture(net, x[:1])), x).graph.module
    result = torch.from_numpy(bittern.runtime.load(tmp_path / "m.pte")(x.numpy()))
    with torch.no_grad():
        expected = torch.cat([simulation(channels_last(image[None])) for image in x])
        unquantized: Tensor = net(x)
    largest = float(expected.abs().max())
    # Now and then a value between two steps goes the other way: one step of 255.
    assert float((result - expected).abs().max()) <= 0.01 * largest
    assert float((result - unquantized).abs().mean()) <= 0.1 * largest
