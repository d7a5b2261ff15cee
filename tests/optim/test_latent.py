import copy
from typing import Any

import pytest
import torch
from torch import nn

from bittern.optim import LatentAdam, LatentSGD
from optim.problems import gradients, parameters, train


@pytest.mark.parametrize("cls", [LatentSGD, LatentAdam])
@pytest.mark.parametrize("fused", [None, True, False])
def test_without_options_the_steps_are_torchs(cls: type[torch.optim.Optimizer], fused: bool | None) -> None:
    ours, theirs = parameters((4, 3, 2, 2), (5,)), parameters((4, 3, 2, 2), (5,))
    base = cls.__mro__[2]
    assert base in (torch.optim.SGD, torch.optim.Adam)
    options = {"lr": 0.01, "weight_decay": 0.1}
    train(cls(ours, **options, fused=fused), ours, range(10))
    train(base(theirs, **options, fused=True if fused is None else fused), theirs, range(10))
    for a, b in zip(ours, theirs, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("cls", [LatentSGD, LatentAdam])
@pytest.mark.parametrize("foreach", [False, True, None])
def test_clipping_bounds_the_weights_of_its_groups_only(cls: type[torch.optim.Optimizer], foreach: bool | None) -> None:
    latent, real = parameters((8, 8)), parameters((8, 8))
    optimizer = cls([{"params": latent}, {"params": real, "clip": None}], lr=0.5, clip=0.25, foreach=foreach)
    train(optimizer, latent + real, range(20))
    assert latent[0].abs().max() == 0.25
    assert real[0].abs().max() > 1


@pytest.mark.parametrize("cls", [LatentSGD, LatentAdam])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clip": 0.0}, "clip must be more than 0"),
        ({"ags": 0.0}, r"ags must be in \(0, inf\)"),
        ({"sad": (1e-5, 0.1)}, r"sad must be \(strength, threshold, momentum\) or None"),
        ({"sad": (1e-5, 2.0, 0.9)}, r"threshold of sad must be in \[0, 1\], got 2"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    cls: type[torch.optim.Optimizer], options: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        cls(parameters((3, 3)), **options)
    optimizer = cls(parameters((3, 3)))
    with pytest.raises(ValueError, match=message):
        optimizer.add_param_group({"params": parameters((3, 3)), **options})


def test_gradient_scaling_lifts_small_gradients_of_a_filter_to_its_share_of_the_weights() -> None:
    p = nn.Parameter(torch.tensor([[3.0, 4], [3, 4], [0, 0]]))
    p.grad = torch.tensor([[0.003, 0.004], [0.3, 0.4], [0.0, 2e-6]])
    LatentSGD([p], lr=1.0, ags=0.01).step()
    # delta |w| = 0.05: ten times the first gradient's norm, less than the second's; a filter of zeros counts as 1e-3.
    expected = torch.tensor([[0.03, 0.04], [0.3, 0.4], [0.0, 1e-5]])
    torch.testing.assert_close(p.grad, expected)
    torch.testing.assert_close(p.detach(), torch.tensor([[3.0, 4], [3, 4], [0, 0]]) - expected)


@pytest.mark.parametrize("maximize", [False, True])
def test_silent_weights_decay_until_they_flip(maximize: bool) -> None:
    p = nn.Parameter(torch.tensor([1.0, 1.0]))
    optimizer = LatentSGD([p], lr=1.0, sad=(0.125, 0.3, 0.5), maximize=maximize)
    sign = -1 if maximize else 1
    p.grad = sign * torch.tensor([0.0, 2.0])
    optimizer.step()  # none has flipped yet, so both decay: w - (g + w / 8)
    assert p.tolist() == [0.875, -1.125]
    assert optimizer.state[p]["flip_rate"].tolist() == [0, 0.5]
    p.grad = torch.zeros(2)
    optimizer.step()  # the second flipped lately: its rate is above 0.3
    assert p.tolist() == [0.875 * 0.875, -1.125]
    assert optimizer.state[p]["flip_rate"].tolist() == [0, 0.25]
    p.grad = torch.zeros(2)
    optimizer.step()  # and no longer
    assert p.tolist() == [0.875**3, -1.125 * 0.875]


def test_the_flip_rate_is_saved_and_resumed() -> None:
    options = {"lr": 0.05, "clip": 1.0, "ags": 0.01, "sad": (1e-2, 0.1, 0.9)}
    p, q = parameters((6, 5)), parameters((6, 5))
    optimizer, other = LatentAdam(p, **options), LatentAdam(q, **options)
    train(optimizer, p, range(8))
    with torch.no_grad():
        q[0].copy_(p[0])
    state = optimizer.state_dict()
    other.load_state_dict({**state, "state": {0: {k: v.clone() for k, v in state["state"][0].items()}}})
    assert other.state[q[0]]["flip_rate"].max() > 0
    train(optimizer, p, range(8, 16))
    train(other, q, range(8, 16))
    assert torch.equal(p[0], q[0])


def test_a_fused_step_takes_gradients_of_any_layout() -> None:
    shape = (8, 4, 3, 3)
    (p,), (q,) = parameters(shape), parameters(shape)
    q = nn.Parameter(q.detach().contiguous(memory_format=torch.channels_last))
    for w in (p, q):
        optimizer = LatentAdam([w], fused=True)
        gradients([p], 0)
        w.grad = p.grad
        optimizer.step()
    assert torch.equal(p, q)


@pytest.mark.parametrize("how", ["loaded", "moved"])
@pytest.mark.parametrize("optimizer_class", [LatentAdam, LatentSGD])
def test_a_fused_step_takes_state_of_any_layout(how: str, optimizer_class: Any) -> None:
    shape, options = (8, 4, 3, 3), {"momentum": 0.9} if optimizer_class is LatentSGD else {}
    (p,), (q,) = parameters(shape), parameters(shape)
    optimizer = optimizer_class([p], 0.01, **options)
    assert optimizer.param_groups[0]["fused"]
    gradients([p], 0)
    optimizer.step()
    if how == "loaded":
        q = nn.Parameter(p.detach().contiguous(memory_format=torch.channels_last))
        other = optimizer_class([q], 0.01, **options)
        other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    else:
        other = optimizer_class([q], 0.01, **options)
        gradients([q], 0)
        other.step()
        q.data = q.data.contiguous(memory_format=torch.channels_last)
    for w, one in ((p, optimizer), (q, other)):
        gradients([w], 1)
        one.step()
    assert torch.equal(p, q)


def test_a_fused_step_that_was_saved_is_not_taken_where_it_does_not_suit() -> None:
    (p,) = parameters((4, 6))
    saved = LatentAdam([p]).state_dict()
    every_second = nn.Parameter(torch.zeros(4, 12)[:, ::2])
    optimizer = LatentAdam([every_second])
    assert not optimizer.param_groups[0]["fused"]
    optimizer.load_state_dict(saved)
    assert not optimizer.param_groups[0]["fused"]
