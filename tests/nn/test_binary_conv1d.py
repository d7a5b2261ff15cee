import inspect

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from bittern.nn import BinaryConv1d, BinaryConv2d
from bittern.nn.channels import SCALES


def signs(x: torch.Tensor) -> torch.Tensor:
    return torch.where(x < 0, -1.0, 1.0)


def test_positional_signature_is_that_of_torch_but_for_the_default_of_bias() -> None:
    ours = list(inspect.signature(BinaryConv1d).parameters.values())
    torchs = list(inspect.signature(nn.Conv1d).parameters.values())
    positional = [p for p in ours if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert [p.name for p in positional] == [p.name for p in torchs]
    assert {p.name for p, q in zip(positional, torchs, strict=True) if p.default != q.default} == {"bias"}


def test_keyword_arguments_are_those_of_the_2d_layer() -> None:
    def keywords(layer: type) -> dict[str, object]:
        parameters = inspect.signature(layer).parameters.values()
        return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}

    assert keywords(BinaryConv1d) == keywords(BinaryConv2d)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("pad_value", [0, 1, -1])
@pytest.mark.parametrize("transform", ["none", "balanced"])
@pytest.mark.parametrize(
    ("stride", "padding", "dilation", "groups"), [(1, 1, 1, 1), (2, "same", 1, 3), (1, "same", 2, 1), (3, 0, 2, 3)]
)
def test_it_is_the_2d_layer_on_images_of_one_row(
    scale: str, pad_value: int, transform: str, stride: int, padding: int | str, dilation: int, groups: int
) -> None:
    options = {"scale": scale, "pad_value": pad_value, "weight_transform": transform}
    layer = BinaryConv1d(6, 9, 3, stride, padding, dilation, groups, bias=True, **options)  # type: ignore[arg-type]
    rows = padding if padding == "same" else (0, padding)
    image = BinaryConv2d(6, 9, (1, 3), (1, stride), rows, (1, dilation), groups, bias=True, **options)  # type: ignore[arg-type]
    state = {name: value.unsqueeze(2) if name == "weight" else value for name, value in layer.state_dict().items()}
    image.load_state_dict(state)
    x, y = (torch.randn(2, 6, 11).requires_grad_() for _ in range(2))
    y.data.copy_(x)
    result, expected = layer(x), image(y.unsqueeze(2)).squeeze(2)
    torch.testing.assert_close(result, expected)
    result.square().sum().backward()
    expected.square().sum().backward()
    torch.testing.assert_close(x.grad, y.grad)
    torch.testing.assert_close(layer.weight.grad, image.weight.grad.squeeze(2))


def test_it_starts_like_the_torch_layer() -> None:
    torch.manual_seed(0)
    ours = BinaryConv1d(4, 6, 5, bias=True)
    torch.manual_seed(0)
    plain = nn.Conv1d(4, 6, 5)
    assert {name: value.tolist() for name, value in ours.state_dict().items()} == {
        name: value.tolist() for name, value in plain.state_dict().items()
    }


def test_a_border_of_signs_joins_the_signal() -> None:
    layer, x = BinaryConv1d(4, 2, 3, padding=1, pad_value=-1), torch.randn(1, 4, 5)
    padded = F.pad(signs(x), (1, 1), value=-1.0)
    torch.testing.assert_close(layer(x), F.conv1d(padded, signs(layer.weight.detach())))


def test_representation_shows_every_argument() -> None:
    text = repr(BinaryConv1d(2, 4, 3, scale="mean", pad_value=-1))
    assert "BinaryConv1d(2, 4, kernel_size=(3,), stride=(1,), bias=False, scale='mean'" in text
    assert text.endswith("pad_value=-1)")


def test_a_bad_border_is_refused() -> None:
    with pytest.raises(ValueError, match="pad_value must be 0, \\+1 or -1, got 2"):
        BinaryConv1d(2, 2, 3, pad_value=2)
