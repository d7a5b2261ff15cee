"""Networks that others trained, in their own spelling, give the same logits in the engine."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bittern.export import to_pte
from bittern.runtime import load

TRAINED = next(
    (path for parent in Path(__file__).parents if (path := parent / "shared" / "data" / "trained").is_dir()), None
)
pytestmark = pytest.mark.skipif(TRAINED is None, reason="no folder shared/data/trained beside or above this checkout")
IMAGES = 500


def digits() -> tuple[Tensor, Tensor]:
    """Binarized images as rows in {0, 1}, and their classes."""
    assert TRAINED is not None
    archive = np.load(TRAINED / "mnist6000_binarized.npz")
    images, classes = archive["x"][:IMAGES], archive["y"][:IMAGES]
    return torch.from_numpy(images).float().flatten(1), torch.from_numpy(classes.astype(np.int64))


def sign(x: Tensor) -> Tensor:
    return torch.where(x >= 0, 1.0, -1.0)


class Verified(nn.Module):
    """BatchNorm and signs in front of every linear layer, whose weights are signs too."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        super().__init__()
        weights = [name for name, value in state.items() if value.dim() == 2]
        norms = [name.removesuffix(".running_mean") for name in state if name.endswith(".running_mean")]
        shapes = [state[name].shape for name in weights]
        self.layers = nn.ModuleList(
            nn.Linear(i, o, bias=name.replace("weight", "bias") in state)
            for name, (o, i) in zip(weights, shapes, strict=True)
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(len(state[f"{name}.running_mean"]), eps=2e-5) for name in norms)
        for layer, name in zip(self.layers, weights, strict=True):
            own = {"weight": state[name]}
            if layer.bias is not None:
                own["bias"] = state[name.replace("weight", "bias")]
            layer.load_state_dict(own)
        for norm, name in zip(self.norms, norms, strict=True):
            norm.load_state_dict({key: state[f"{name}.{key}"] for key in norm.state_dict() if f"{name}.{key}" in state})

    def forward(self, x: Tensor) -> Tensor:
        for norm, layer in zip(self.norms, self.layers, strict=True):
            x = F.linear(sign(norm(x)), sign(layer.weight), layer.bias)
        return x


class Thresholds(nn.Module):
    """Signs of agreements above a threshold: no BatchNorm, and no bias."""

    def __init__(self, archive: dict[str, np.ndarray]) -> None:
        super().__init__()
        for i in range(4):
            signs = 2.0 * torch.from_numpy(archive[f"w{i}"]).float() - 1
            self.register_buffer(f"weight{i}", signs)
            self.register_buffer(f"threshold{i}", torch.from_numpy(archive[f"t{i}"].astype(np.float32)))

    def forward(self, x: Tensor) -> Tensor:
        x = sign(F.pad(x - 0.5, (0, 832 - 784), value=-1.0))
        for i in range(4):
            weight = getattr(self, f"weight{i}")
            x = (F.linear(x, weight) + weight.shape[1]) / 2
            if i < 3:
                x = torch.where(x > getattr(self, f"threshold{i}"), 1.0, -1.0)
        return x[:, :10]


def check(module: nn.Module, layers: int, accuracy: float, tmp_path: Path) -> None:
    images, classes = digits()
    export = to_pte(module.eval(), images[:50], tmp_path / "m.pte")
    assert export.explanation.unpacked == []
    linears = [row for row in export.explanation.rows if row.operator == "aten::linear"]
    assert [row.runs for row in linears] == ["bittern"] * layers
    with torch.no_grad():
        expected = module(images)
    result = torch.from_numpy(load(tmp_path / "m.pte")(images.numpy()))
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-4 * float(expected.abs().max()))
    assert float((result.argmax(1) == classes).float().mean()) > accuracy


def test_a_network_with_batch_norm_gives_its_logits(tmp_path: Path) -> None:
    assert TRAINED is not None
    state = torch.load(TRAINED / "msakai_mnist.pt", weights_only=True)
    check(Verified(state), 5, 0.9, tmp_path)


def test_a_network_of_thresholds_alone_gives_its_scores(tmp_path: Path) -> None:
    assert TRAINED is not None
    archive = dict(np.load(TRAINED / "bnnpynq_lfcW1A1_mnist.npz"))
    check(Thresholds(archive), 4, 0.95, tmp_path)
