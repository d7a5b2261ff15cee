"""The Python examples of a page, so that a test can run them."""

import re
from pathlib import Path

DOCS = Path(__file__).parent.parent / "docs"


def examples(page: str) -> list[str]:
    """The indented blocks of ``docs/PAGE`` that import something, in their order."""
    blocks = re.findall(r"(?:^    .*\n|^\n(?=    ))+", (DOCS / page).read_text(), re.MULTILINE)
    code = ["\n".join(line[4:] for line in block.strip("\n").split("\n")) for block in blocks]
    return [text for text in code if re.search(r"^(from|import) ", text, re.MULTILINE)]
