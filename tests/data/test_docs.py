from pathlib import Path

import pytest

from bittern.data import AUGMENTATIONS, list_datasets

PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text()


@pytest.mark.parametrize("name", [*AUGMENTATIONS, *list_datasets()])
def test_the_page_names_every_augmentation_and_data_set(name: str) -> None:
    assert f"`{name}`" in PAGE
