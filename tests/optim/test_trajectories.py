"""Some steps of each optimizer against its equations in numpy."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from bittern.optim import OPTIMIZERS, create_optimizer
from optim.reference import CASES, Step


@pytest.mark.parametrize(("name", "step", "options", "own"), CASES, ids=[case[0] for case in CASES])
@pytest.mark.parametrize("foreach", [False, True, None])
@pytest.mark.parametrize("maximize", [False, True])
def test_weights_follow_the_equations(
    name: str, step: Step, options: dict[str, Any], own: dict[str, Any], foreach: bool | None, maximize: bool
) -> None:
    generator = np.random.default_rng(0)
    start = generator.uniform(-0.5, 0.5, (4, 25))
    p = nn.Parameter(torch.tensor(start))
    betas = {"betas": (own["beta1"], own["beta2"])} if "beta1" in own else {}
    optimizer = create_optimizer(name, [p], **options, **betas, foreach=foreach, maximize=maximize)
    state: dict[str, Any] = {}
    w = np.where(start < 0, -1.0, 1.0) if OPTIMIZERS[name].latent_free else start
    assert np.array_equal(p.detach().numpy(), w)
    changes = 0
    for t in range(1, 31):
        gradient = generator.normal(0.1, 1, w.shape)
        p.grad = torch.tensor(-gradient if maximize else gradient)
        if name == "diode" and t == 1:
            state["s"] = -w * 1e-3 * (np.arange(1, w.size + 1) * (5**0.5 - 1) / 2 % 1).reshape(w.shape)
        optimizer.step()
        before, w = w, step(w, gradient, state, t, **options, **own)
        changes += int((np.sign(before) != np.sign(w)).sum())
        np.testing.assert_allclose(p.detach().numpy(), w, rtol=0, atol=1e-12)  # 30 steps of a few roundings of 2^-53
    assert changes > 20


def test_every_optimizer_of_this_package_has_a_reference() -> None:
    ours = {name for name, row in OPTIMIZERS.items() if row.cls.__module__.startswith("bittern")}
    assert ours == {case[0] for case in CASES}
