"""The examples of the pages run as they are printed."""

import re
from pathlib import Path

import pytest

from bittern.study.read import read_study

DOCS = Path(__file__).parents[2] / "docs"


def run_example(page: str) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    exec(compile(example, page, "exec"), {})


def test_the_loop_of_the_page_is_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_example("study.md")
    found = read_study(tmp_path / "runs" / "mine" / "study")
    assert len(found.ff) == 3 * 512 // 32
    assert [row["epoch"] for row in found.epochs] == [1, 2, 3]


def test_the_gradient_of_the_page_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    run_example("estimators.md")
    printed = capsys.readouterr().out.strip()
    assert f"print(x.grad)  # {printed}" in (DOCS / "estimators.md").read_text()
