"""The commands on files of several inputs: what makes no sense for them is refused with the way out."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from bittern.export import to_pte
from bittern.nn import BinaryLinear
from cli.invoke import bittern


class Reader(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.layer = nn.Embedding(9, 32), BinaryLinear(32, 32)

    def forward(self, ids: Tensor, mask: Tensor) -> dict[str, Tensor]:
        words = self.layer(self.tokens(ids)) * mask[:, :, None]
        return {"sum": words.sum(1), "words": words.argmax(2)}


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("reader") / "reader.pte"
    with pytest.warns(match="slow"):
        return to_pte(Reader().eval(), (torch.arange(9)[None], torch.ones(1, 9)), path, max_batch=4).path


def test_inspect_lists_inputs_and_outputs(reader: Path) -> None:
    outcome = bittern("inspect", reader)
    assert outcome.code == 0
    for text in ("ids int64 [N, 9]", "mask float32 [N, 9]", "sum float32 [N, 32]", "words int64 [N, 9]", "N is 1 to 4"):
        assert text in outcome.out
    interface = bittern("inspect", reader, "--json").json["metadata"]["interface"]
    assert [entry["name"] for entry in interface["inputs"]] == ["ids", "mask"]


def test_bench_measures_on_inputs_of_its_own(reader: Path) -> None:
    outcome = bittern("bench", reader, "--rounds", "2", "--json")
    assert outcome.code == 0
    assert any(row["operator"] == "linear" for row in outcome.json["operators"])


def test_run_refuses_what_is_no_image(reader: Path, image: Path) -> None:
    outcome = bittern("run", reader, image)
    assert outcome.code == 2
    assert "takes ids int64 [N, 9], mask float32 [N, 9] and gives sum float32 [N, 32]" in outcome.error
    assert f"call it from Python, bittern.runtime.load('{reader}')(ids, mask)" in outcome.error


def test_verify_refuses_what_is_no_image(trained: Path, reader: Path) -> None:
    outcome = bittern("verify", trained, reader)
    assert outcome.code == 2
    assert "compare it from Python, bittern.export.verify(module, path, inputs)" in outcome.error
