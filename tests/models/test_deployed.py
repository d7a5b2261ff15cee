"""Every architecture, made small, through the exporter and the engine."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from bittern.export import to_pte
from bittern.export.passes.binary import WEIGHT_ONLY
from bittern.nn import BinaryConv2d, BinaryLinear
from bittern.runtime import load
from models.small import small, small_input

ARCHITECTURES = [
    "bi-real-net-18",
    "bi-real-net-18-larq",
    "binary-alexnet",
    "binary-densenet-37-dilated",
    "binary-resnet-e-18",
    "binarynet",
    "bnext-t",
    "meliusnet-22",
    "react-resnet-18",
    "reactnet-a",
    "real-to-binary",
    "strong-baseline",
    "xnor-net",
]


def trained(name: str) -> tuple[nn.Module, torch.Tensor]:
    """The small network as if it had been trained: no BatchNorm is the identity. And two images."""
    torch.manual_seed(0)
    model, x = small(name), small_input(name)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 3)
    return model.eval(), x


@pytest.mark.slow
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_binary_layer_runs_packed_and_gives_the_networks_logits(name: str, tmp_path: Path) -> None:
    model, x = trained(name)
    export = to_pte(model, x, tmp_path / "model.pte")
    layers = {path for path, m in model.named_modules() if isinstance(m, BinaryConv2d | BinaryLinear)}
    assert {o.path for o in export.metadata.operators if o.op.startswith(("conv2d", "linear"))} == layers
    assert export.explanation.unpacked == []
    assert export.explanation.fallbacks == []
    with torch.no_grad():
        expected = model(x).numpy()
    # A value within rounding error of a threshold may get another sign, which is rare in networks as small as these.
    np.testing.assert_allclose(load(tmp_path / "model.pte")(x.numpy()), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::bittern.export.ExportWarning")  # rounding has no fast kernel
def test_dorefanet_keeps_its_weights_packed_and_the_explanation_says_so(tmp_path: Path) -> None:
    model, x = trained("dorefanet")
    export = to_pte(model, x, tmp_path / "model.pte")
    layers = {path for path, m in model.named_modules() if isinstance(m, BinaryConv2d | BinaryLinear)}
    rows = {row.path: row for row in export.explanation.rows if row.path in layers and row.reason}
    assert {path: row.reason for path, row in rows.items()} == dict.fromkeys(layers, WEIGHT_ONLY)
    assert {row.kernel for row in rows.values()} == {"conv2d_weight_only", "linear_weight_only"}
    assert export.explanation.unpacked == []
    with torch.no_grad():
        expected = model(x).numpy()
    np.testing.assert_allclose(load(tmp_path / "model.pte")(x.numpy()), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::bittern.export.ExportWarning")  # of LayerNorm, which runs in a slow kernel
def test_linear_layers_on_tokens_run_packed_and_share_their_packed_input(tmp_path: Path) -> None:
    model, x = trained("digits-transformer")
    export = to_pte(model, x, tmp_path / "model.pte")
    kinds = [operator.op for operator in export.metadata.operators]
    # Query, key and value read the same signs.
    assert (kinds.count("linear"), kinds.count("pack")) == (6, 4)
    assert export.explanation.unpacked == []
    with torch.no_grad():
        expected = model(x).numpy()
    np.testing.assert_allclose(load(tmp_path / "model.pte")(x.numpy()), expected, rtol=1e-3, atol=1e-3)
