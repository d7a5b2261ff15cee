from typing import Any

import pytest
import torch

from bittern.data import AUGMENTATIONS, list_datasets
from doc_examples import DOCS, examples


@pytest.mark.parametrize("name", [*AUGMENTATIONS, *list_datasets()])
def test_the_page_names_every_augmentation_and_data_set(name: str) -> None:
    assert f"`{name}`" in (DOCS / "data.md").read_text()


def test_the_examples_run() -> None:
    names: dict[str, Any] = {}
    for code in examples("data.md"):
        exec(code, names)
    assert names["x"].shape == names["images"].shape
    assert names["images"].dtype == torch.uint8
