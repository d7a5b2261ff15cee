"""The examples of docs/train.md run as printed."""

import re
from pathlib import Path

import pytest

from bittern.train import load_run, run, runner

(TRAINING, LAYERS) = re.findall(
    r"```python\n(.*?)```", (Path(__file__).parents[2] / "docs" / "train.md").read_text(), re.DOTALL
)


def test_the_first_example_trains_and_reads_the_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("bittern.train.run", lambda *arguments: run(*arguments, epochs=1))
    scope: dict[str, object] = {}
    exec(TRAINING, scope)
    assert isinstance(scope["result"], runner.RunResult)
    assert type(scope["network"]) is type(load_run(tmp_path / "runs" / "digits").model)


def test_every_layer_of_the_page_can_be_made() -> None:
    exec(LAYERS, {})
