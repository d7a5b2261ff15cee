"""The examples of each page run as they stand."""

import re
from pathlib import Path

import pytest

from doc_examples import examples

DOCS = Path(__file__).parent.parent.parent / "docs"


@pytest.mark.parametrize("page", ["export", "verify", "inspect"])
def test_the_example_of_the_page_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (DOCS / f"{page}.md").read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(code, {})


@pytest.mark.filterwarnings("ignore::bittern.export.ExportWarning")
def test_the_example_of_several_inputs_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (code,) = examples("export.md")
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    signature, result = capsys.readouterr().out.splitlines()
    assert f"# {signature}" in code
    assert result.endswith("(1, 3)")
