from pathlib import Path

import pytest

from data.image_files import write_folder, write_shards
from data.streams import COUNT


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("streamed")
    write_folder(folder / "images", {"train": COUNT, "val": 7})
    write_shards(folder / "image-shards", {"train": (10, 1, COUNT - 11), "val": (7,)})
    return folder
