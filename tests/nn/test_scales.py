"""Scales of whole layers, factored scales, and gates."""

import pytest
import torch

from bittern.nn import BinaryConv2d, BinaryLinear, FactoredScale, Gate


def signs(x: torch.Tensor) -> torch.Tensor:
    return torch.where(x < 0, -1.0, 1.0)


def test_layer_mean_scale_is_one_number_for_all_filters_and_no_gradient_passes_it() -> None:
    layer, x = BinaryLinear(8, 5, scale="layer_mean", weight_estimator="identity"), torch.randn(3, 8)
    mean = layer.weight.detach().abs().mean()
    torch.testing.assert_close(layer(x), signs(x) @ signs(layer.weight.detach()).T * mean)
    layer(x).sum().backward()
    torch.testing.assert_close(layer.weight.grad, signs(x).sum(0).expand(5, 8) * mean)


def test_layer_mean_scale_of_a_convolution() -> None:
    layer, x = BinaryConv2d(3, 4, 3, scale="layer_mean"), torch.randn(1, 3, 5, 5)
    plain = BinaryConv2d(3, 4, 3)
    plain.load_state_dict(layer.state_dict())
    torch.testing.assert_close(layer(x), plain(x) * layer.weight.detach().abs().mean())


@pytest.mark.parametrize(
    ("layers", "x"),
    [
        ([BinaryLinear(8, 5, bias=True, scale=s) for s in ("mean", "mean_forward")], torch.randn(3, 8)),
        ([BinaryConv2d(3, 4, 3, bias=True, scale=s) for s in ("mean", "mean_forward")], torch.randn(2, 3, 5, 5)),
    ],
    ids=["linear", "conv2d"],
)
def test_a_mean_in_the_forward_pass_alone_is_missing_in_the_gradient_of_the_weights(
    layers: list[torch.nn.Module], x: torch.Tensor
) -> None:
    mean, forward = layers
    forward.load_state_dict(mean.state_dict())
    inputs = [x.clone().requires_grad_() for _ in layers]
    outputs = [layer(inputs[i]) for i, layer in enumerate(layers)]
    torch.testing.assert_close(*outputs)
    incoming = torch.randn_like(outputs[0])
    for y in outputs:
        y.backward(incoming)
    torch.testing.assert_close(inputs[0].grad, inputs[1].grad)
    factor = mean.weight.detach().abs().flatten(1).mean(1).view(-1, *[1] * (mean.weight.dim() - 1))
    torch.testing.assert_close(mean.weight.grad, forward.weight.grad * factor, rtol=1e-4, atol=1e-5)


def test_factored_scale_multiplies_a_channel_a_row_and_a_column() -> None:
    layer, x = FactoredScale(2, 3, 4), torch.randn(5, 2, 3, 4)
    assert torch.equal(layer(x), x)
    for parameter in layer.parameters():
        parameter.data.normal_()
    expected = torch.einsum("nchw,c,h,w->nchw", x, layer.channel, layer.row, layer.column)
    torch.testing.assert_close(layer(x), expected)
    assert repr(layer) == "FactoredScale(2, 3, 4)"


@pytest.mark.parametrize(
    ("case", "equation", "names"),
    [
        (2, "nchw,chw->nchw", ["value"]),
        (3, "nchw,c,hw->nchw", ["channel", "pixel"]),
        (4, "nchw,c,h,w->nchw", ["channel", "row", "column"]),
    ],
)
def test_a_factored_scale_has_the_factors_of_its_case(case: int, equation: str, names: list[str]) -> None:
    layer, x = FactoredScale(2, 3, 4, case=case), torch.randn(5, 2, 3, 4)
    assert [name for name, _ in layer.named_parameters()] == names
    assert torch.equal(layer(x), x)
    for parameter in layer.parameters():
        parameter.data.normal_()
    torch.testing.assert_close(layer(x), torch.einsum(equation, x, *layer.parameters()))
    assert repr(layer) == f"FactoredScale(2, 3, 4{'' if case == 4 else f', case={case}'})"


def test_case_one_is_a_scale_of_the_layer() -> None:
    with pytest.raises(ValueError, match="case must be 2, 3 or 4, got 1; case 1 is scale='learned'"):
        FactoredScale(2, 3, 4, case=1)


def test_an_image_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"FactoredScale was built for images \(2, 3, 4\), got \(2, 3, 5\)"):
        FactoredScale(2, 3, 4)(torch.zeros(1, 2, 3, 5))


def test_gate_is_a_sigmoid_of_two_matrices_and_the_mean() -> None:
    gate, x = Gate(16, 24), torch.randn(2, 16, 3, 5)
    hidden = torch.relu(x.mean((2, 3)) @ gate.reduce.weight.T)
    assert gate.reduce.weight.shape == (2, 16)
    assert gate(x).shape == (2, 24, 1, 1)
    torch.testing.assert_close(gate(x)[:, :, 0, 0], torch.sigmoid(hidden @ gate.expand.weight.T))


def test_gate_has_biases_if_asked_for() -> None:
    gate, x = Gate(8, 4, bias=True), torch.randn(2, 8, 3, 3)
    hidden = torch.relu(x.mean((2, 3)) @ gate.reduce.weight.T + gate.reduce.bias)
    torch.testing.assert_close(gate(x)[:, :, 0, 0], torch.sigmoid(hidden @ gate.expand.weight.T + gate.expand.bias))


def test_a_gate_narrower_than_its_reduction_is_refused() -> None:
    with pytest.raises(ValueError, match="in_channels must be at least the reduction, 8, got 4"):
        Gate(4, 4)


@pytest.mark.parametrize(
    "layer", [FactoredScale(2, 3, 4, "meta", torch.float64), Gate(8, 8, 8, True, "meta", torch.float64)]
)
def test_device_and_dtype_reach_every_parameter(layer: torch.nn.Module) -> None:
    assert {(p.device.type, p.dtype) for p in layer.parameters()} == {("meta", torch.float64)}
