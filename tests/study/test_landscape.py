"""Landscapes on losses that are known in closed form."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bittern.study.files import write_arrays
from bittern.study.landscape import (
    LANDSCAPE_FILE,
    Landscape,
    landscape,
    landscape_of_run,
    random_directions,
    read_landscape,
)
from study.small import network


def batches() -> Iterator[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        yield torch.randn(5, 6, generator=generator), torch.randint(0, 3, (5,), generator=generator)


def test_directions_have_the_lengths_of_the_filters() -> None:
    weights = [torch.randn(4, 3, 2, 2), torch.randn(5, 7), torch.randn(4)]
    weights[1][2] = 0.0
    for direction in random_directions(weights, 2, seed=0):
        for w, d in zip(weights[:2], direction[:2], strict=True):
            torch.testing.assert_close(d.flatten(1).norm(dim=1), w.flatten(1).norm(dim=1))
        assert not direction[2].any()  # a value per channel does not move


def test_directions_are_those_of_the_seed() -> None:
    weights = [torch.randn(4, 3)]
    assert torch.equal(random_directions(weights, 1, 3)[0][0], random_directions(weights, 1, 3)[0][0])
    assert not torch.equal(random_directions(weights, 1, 3)[0][0], random_directions(weights, 1, 4)[0][0])


def test_the_middle_is_the_trained_network_and_the_weights_stay() -> None:
    model = network().train()
    before = {name: t.clone() for name, t in model.state_dict().items()}
    seen: list[tuple[int, int]] = []
    found = landscape(model, batches, points=3, progress=lambda done, total: seen.append((done, total)))
    assert found.loss.shape == found.accuracy.shape == (3, 3)
    assert seen[-1] == (9, 9)
    assert all(torch.equal(before[name], t) for name, t in model.state_dict().items())
    assert all(module.training for module in model.modules())
    with torch.no_grad():
        x, y = (torch.cat(parts) for parts in zip(*batches(), strict=True))
        model.eval()
        assert found.loss[1, 1] == pytest.approx(F.cross_entropy(model(x), y).item(), rel=1e-5)
        assert found.accuracy[1, 1] == pytest.approx((model(x).argmax(1) == y).float().mean().item())


def test_a_line_through_a_linear_model_is_its_softplus() -> None:
    # One logit against 0 with weight 1: loss(alpha) = ln(1 + e^-(1 + alpha d)), where d = +1 or -1.
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.ones(1, 1))

        def forward(self, x: Tensor) -> Tensor:
            return torch.cat((x @ self.w, torch.zeros(len(x), 1)), 1)

    model = Two()
    (direction,) = random_directions([model.w.detach()], 1, 0)
    d = direction[0].item()
    assert abs(d) == pytest.approx(1)
    found = landscape(
        model, lambda: iter([(torch.ones(1, 1), torch.zeros(1, dtype=torch.long))]), dimensions=1, points=5, span=2.0
    )
    assert found.alpha.tolist() == [-2, -1, 0, 1, 2]
    assert found.beta.tolist() == [0]
    assert found.loss[0] == pytest.approx(np.log1p(np.exp(-(1 + found.alpha * d))), rel=1e-5)


def test_a_binary_layer_gives_steps() -> None:
    model = nn.Sequential(network()[-1])
    found = landscape(model, lambda: iter([(torch.ones(4, 8), torch.tensor([0, 1, 2, 0]))]), dimensions=1, points=101)
    assert 1 < len(np.unique(found.loss)) < 60  # 24 signs change at as many points at most


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dimensions": 3}, "dimensions must be 1 or 2"),
        ({"points": 1}, "points must be at least 2"),
        ({"span": 0.0}, "span must be above 0"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        landscape(network(), batches, **options)  # type: ignore[arg-type]


def test_no_data_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one batch"):
        landscape(network(), lambda: iter(()), points=2)


def test_a_landscape_is_read_back_and_a_damaged_one_is_none(tmp_path: Path) -> None:
    axis = np.array([-1.0, 1.0])
    saved = Landscape(axis, axis, np.ones((2, 2)), np.zeros((2, 2)))
    write_arrays(tmp_path / LANDSCAPE_FILE, saved.arrays())
    found = read_landscape(tmp_path)
    assert found is not None
    assert np.array_equal(found.loss, saved.loss)
    (tmp_path / LANDSCAPE_FILE).write_bytes(b"PK")
    assert read_landscape(tmp_path) is None
    assert read_landscape(tmp_path / "nowhere") is None


@pytest.mark.slow
def test_the_landscape_of_a_run_is_kept_beside_its_study(trained_run: Path) -> None:
    found = landscape_of_run(trained_run, images=100, points=3, dimensions=1)
    kept = read_landscape(trained_run / "study")
    assert kept is not None
    assert np.array_equal(kept.loss, found.loss)
