"""Networks of users: fixtures that ``generate/own_from_*.py`` wrote, and Keras files of any content."""

import json
import lzma
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

FOLDER = Path(__file__).parent / "fixtures" / "own"

BINARY = {"digits": 4, "residual": 2, "mobile": 4, "nested": 3, "rows": 3, "shapes": 1}
"""Fixture -> its layers with binary weights, a shared one counted once for each call."""

Weights = Mapping[str, Mapping[str, npt.NDArray[np.float32]]]


def unpack(name: str, folder: Path, suffix: str = ".h5") -> Path:
    path = folder / f"{name}{suffix}"
    path.write_bytes(lzma.decompress((FOLDER / f"{name}{suffix}.xz").read_bytes()))
    return path


def inputs(name: str) -> Tensor:
    """[2, C, H, W]; rows are images of one pixel."""
    with np.load(FOLDER / f"{name}.npz") as file:
        x = torch.from_numpy(file["inputs"])
    return x.permute(0, 3, 1, 2) if x.dim() == 4 else x[:, :, None, None]


def logits(name: str) -> Tensor:
    with np.load(FOLDER / f"{name}.npz") as file:
        return torch.from_numpy(file["logits"])


def layer(kind: str, name: str, **config: Any) -> dict[str, Any]:
    return {"class_name": kind, "config": {"name": name, **config}}


def called(described: dict[str, Any], *on: str) -> dict[str, Any]:
    """A layer of a functional model."""
    nodes = [[[name, 0, 0, {}] for name in on]] if on else []
    return {**described, "name": described["config"]["name"], "inbound_nodes": nodes}


def image(name: str = "image", *sizes: int | None) -> dict[str, Any]:
    return layer("InputLayer", name, batch_input_shape=[None, *(sizes or (6, 5, 2))])


def sequential(*layers: dict[str, Any], name: str = "net") -> dict[str, Any]:
    return layer("Sequential", name, layers=list(layers))


def functional(*layers: dict[str, Any], output: str, source: str = "image") -> dict[str, Any]:
    ends = {"input_layers": [[source, 0, 0]], "output_layers": [[output, 0, 0]]}
    return layer("Functional", "net", layers=list(layers), **ends)


def write_keras(path: Path, config: object, weights: Weights) -> Path:
    """As ``model.save`` of Keras 2: ``config`` is the content of ``model_config``, as an object or as text."""
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = config if isinstance(config, str) else json.dumps(config)
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = np.array([name.encode() for name in weights], "S100")
        for name, tensors in weights.items():
            inside = group.create_group(name)
            inside.attrs["weight_names"] = np.array([f"{name}/{key}:0".encode() for key in tensors], "S100")
            for key, values in tensors.items():
                inside[f"{name}/{key}:0"] = values.astype(np.float32)
    return path
