"""docs/binary.md: its code runs, and shows what the page says of the trap."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from bittern.export import ExportWarning, to_pte

PAGE = (Path(__file__).parents[2] / "docs" / "binary.md").read_text()
EPOCHS = 4


@pytest.fixture(scope="module")
def page(one_thread: None) -> dict[str, Any]:
    """What the code of the page defines, and ``accuracies`` in the order of its steps, after a third of the epochs."""
    code = "\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))
    accuracies: list[float] = []
    scope: dict[str, Any] = {"print": accuracies.append}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        exec(code.replace("epochs=12", f"epochs={EPOCHS}").replace("epochs=6", f"epochs={EPOCHS // 2}"), scope)
    return {**scope, "accuracies": accuracies}


@pytest.mark.slow
def test_the_code_of_the_page_shows_the_trap_and_the_way_out(page: dict[str, Any]) -> None:
    floats, replaced, no_relu, shortcuts, *_ = page["accuracies"]
    assert len(page["accuracies"]) == 7
    assert floats > 0.9
    assert replaced < 0.5
    assert min(no_relu, shortcuts) > replaced + 0.3


@pytest.mark.slow
@pytest.mark.parametrize(("block", "trapped"), [("Replaced", True), ("NoReLU", False), ("Shortcuts", False)])
def test_the_export_leads_out_of_the_trap(
    block: str, trapped: bool, page: dict[str, Any], tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    net = page["network"](page[block])[:4].eval()  # up to the first block
    if trapped:
        with pytest.warns(ExportWarning, match=r"every sign is \+1: aten::relu in .*docs/binary\.md"):
            to_pte(net, page["test_images"][:1], tmp_path / "net.pte", check=False)
    else:
        to_pte(net, page["test_images"][:1], tmp_path / "net.pte", check=False)
        assert not [w for w in recwarn if "every sign" in str(w.message)]


def test_every_step_of_the_table_has_its_section() -> None:
    anchors = re.findall(r"\| \[(\d)\]\(#(.*?)\)", PAGE)
    headings = [
        re.sub(r"[^a-z0-9 -]", "", line[3:].lower()).replace(" ", "-") for line in re.findall("^## .*", PAGE, re.M)
    ]
    assert [anchor for _, anchor in anchors] == headings
