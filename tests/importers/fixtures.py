"""Checkpoints as their sources write them, with few filters, made by ``generate``."""

import lzma
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bittern.models import list_models

FOLDER = Path(__file__).parent / "fixtures"
MORE = "BITTERN_CHECKPOINTS"
"""Environment variable: another folder of such files, for instance networks of full size."""


@dataclass(frozen=True)
class Fixture:
    """A packed checkpoint; its name starts with that of the model."""

    packed: Path

    @property
    def name(self) -> str:
        return self.packed.name.split(".")[0]

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments that ``import_checkpoint`` needs for a network that is not the published one."""
        with np.load(self.packed.with_name(f"{self.name}.npz")) as file:
            size = len(file["image"])
        step = {"step-1": 1, "step-2": 2}.get(self.name[-6:]) if self.packed.name.endswith(".pth.xz") else None
        return {"image_size": size, "step": step}

    def unpack(self, folder: Path) -> Path:
        path = folder / self.packed.name.removesuffix(".xz")
        path.write_bytes(lzma.decompress(self.packed.read_bytes()))
        return path

    def input(self) -> Tensor:
        """[1, 3, H, W]."""
        with np.load(self.packed.with_name(f"{self.name}.npz")) as file:
            return torch.from_numpy(file["image"].astype(np.float32) / 8)[None].permute(0, 3, 1, 2)

    def logits(self) -> Tensor:
        """The source's logits for the input, [1, classes]."""
        with np.load(self.packed.with_name(f"{self.name}.npz")) as file:
            return torch.from_numpy(file["logits"])[None]


def model_of(name: str) -> str:
    """Our model, whose name starts the fixture's."""
    return max((model for model in list_models() if name.startswith(model)), key=len)


def _all() -> dict[str, Fixture]:
    folders = [FOLDER, *(Path(text) for text in [os.environ.get(MORE)] if text)]
    found = [Fixture(path) for folder in folders for path in sorted(folder.glob("*.xz")) if ".json" not in path.name]
    return {f"{fixture.name}@{fixture.packed.parent.name}": fixture for fixture in found}


FIXTURES = _all()
"""By a name for the test."""


def fixture(name: str) -> Fixture:
    return FIXTURES[f"{name}@{FOLDER.name}"]
