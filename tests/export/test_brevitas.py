"""Brevitas' own binary example networks, where it is installed; `idioms/brevitas.py` has their idiom everywhere."""

from pathlib import Path

import pytest
import torch
from test_idioms import packed_layers

from bittern.export import ExportWarning, to_pte
from bittern.runtime import load

models = pytest.importorskip(
    "brevitas_examples.bnn_pynq.models", reason="pip install brevitas for the tests of its networks"
)

NETWORKS = {"tfc_1w1a": (4, (1, 28, 28)), "cnv_1w1a": (8, (3, 32, 32))}
"""Binary layers, and the shape of an image. The first layer of the convolutional one reads 8-bit pixels."""


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_of_brevitas_exports_untouched_with_every_binary_layer_packed(name: str, tmp_path: Path) -> None:
    layers, shape = NETWORKS[name]
    torch.manual_seed(0)
    network, _ = models.model_with_cfg(name, pretrained=False)
    for norm in network.modules():
        if isinstance(norm, (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)):
            norm.running_mean.normal_(0, 0.5)
            norm.bias.data.normal_()
    network.eval()
    x = torch.rand(2, *shape)
    with torch.no_grad():
        expected = network(x)
    if name == "cnv_1w1a":
        with pytest.warns(ExportWarning, match="round"):
            export = to_pte(network, x, tmp_path / "m.pte", check=False)
    else:
        export = to_pte(network, x, tmp_path / "m.pte", check=False)
    assert packed_layers(export.explanation.rows) == layers
    result = torch.from_numpy(load(tmp_path / "m.pte")(x.numpy()))
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-4 * float(expected.abs().max()))
