"""The field's own code exports as it is, with every binary layer packed; docs/export.md has the table."""

from pathlib import Path

import pytest
import torch
from idioms import brevitas, in_place, layers, residual, weights
from idioms.common import Idiom

from bittern.export import to_pte
from bittern.runtime import load

IDIOMS = (*residual.IDIOMS, *weights.IDIOMS, *in_place.IDIOMS, *layers.IDIOMS, *brevitas.IDIOMS)
BINARY = ("conv2d", "linear")
DOCS = Path(__file__).parents[2] / "docs" / "export.md"


@pytest.mark.parametrize("idiom", IDIOMS, ids=lambda idiom: idiom.repository)
def test_a_public_idiom_exports_untouched_with_every_binary_layer_packed(idiom: Idiom, tmp_path: Path) -> None:
    x = idiom.example()
    export = to_pte(idiom.network(), x, tmp_path / "m.pte")
    unpacked = [(row.node, row.reason) for row in export.explanation.unpacked]
    assert unpacked == []
    assert packed_layers(export.explanation.rows) == idiom.layers
    with torch.no_grad():
        expected = idiom.network()(x.clone())
    result = torch.from_numpy(load(tmp_path / "m.pte")(x.numpy()))
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-4 * float(expected.abs().max()))


def packed_layers(rows: tuple) -> int:
    """Layers of the training graph that run on bits."""
    products = [row for row in rows if row.operator in ("aten::conv2d", "aten::linear")]
    return sum(row.runs == "bittern" and "weight_only" not in row.kernel for row in products)


def test_the_table_of_the_documentation_has_these_rows() -> None:
    text = DOCS.read_text()
    for idiom in IDIOMS:
        row = f"| {idiom.repository} | {idiom.particular} | {idiom.layers} of {idiom.layers} | nothing |"
        assert row in text
