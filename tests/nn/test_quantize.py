"""Activations of a few bits."""

import pytest
import torch

from bittern.nn import DoReFaActivation

AWKWARD = [-1.0, -0.0, 0.0, 0.16, 0.17, 0.5, 0.84, 1.0, 1.5]


def test_two_bits_are_the_nearest_of_four_levels() -> None:
    y = DoReFaActivation()(torch.tensor(AWKWARD))
    torch.testing.assert_close(y, torch.tensor([0, 0, 0, 0, 1, 2, 3, 3, 3]) / 3)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_there_are_as_many_levels_as_the_bits_allow(bits: int) -> None:
    y = DoReFaActivation(bits)(torch.linspace(-0.5, 1.5, 4000))
    assert len(y.unique()) == 2**bits
    assert (y.min(), y.max()) == (0, 1)


def test_gradient_passes_inside_the_interval() -> None:
    x = torch.tensor(AWKWARD, requires_grad=True)
    incoming = torch.arange(1.0, 10.0)
    DoReFaActivation()(x).backward(incoming)
    inside = torch.tensor([0.0, 1, 1, 1, 1, 1, 1, 1, 0])
    torch.testing.assert_close(x.grad, inside * incoming)


def test_exported_it_rounds_and_shows_no_estimator() -> None:
    layer, x = DoReFaActivation(2).eval(), torch.randn(2, 3)
    program = torch.export.export(layer, (x,))
    targets = {n.target for n in program.graph.nodes if n.op == "call_function"}
    assert torch.ops.aten.round.default in targets
    assert torch.equal(program.module()(x), layer(x))


def test_a_width_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match=r"bits must be in 1\.\.16, got 0"):
        DoReFaActivation(0)
