"""The network cut into stretches, so that its time and size can be set beside the float twin's, part by part.

XNNPACK runs the whole twin as one node of the program, so each stretch of it is exported and timed by itself.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from bittern.cli._layers import LayerTime
from bittern.cli.demo.result import Unit
from bittern.export import Explanation, ExportWarning, summary, to_pte
from bittern.models.react_resnet import ReActResNet

if TYPE_CHECKING:
    from bittern.train import Run

_HEAD = "head"


@dataclass(frozen=True)
class Stretch:
    """Modules that run one after another, and the shape of what goes in, [1, C, H, W]."""

    module: nn.Module
    input_shape: tuple[int, ...]


def stretches(run: "Run") -> dict[str, Stretch]:
    """Stem, blocks and head of the network, in order."""
    model = run.model
    if not isinstance(model, ReActResNet):
        raise TypeError(f"the demo's network is a ReActResNet, got {type(model).__name__}")
    blocks = {f"blocks.{index}": block for index, block in enumerate(model.blocks)}
    modules = {"stem": model.stem, **blocks, _HEAD: nn.Sequential(model.pool, nn.Flatten(), model.classifier)}
    found: dict[str, Stretch] = {}
    x = torch.zeros(1, *run.info.input_shape)
    with torch.no_grad():
        for name, module in modules.items():
            found[name] = Stretch(module, tuple(x.shape))
            x = module(x)
    return found


def export_stretches(run: "Run", folder: Path) -> dict[str, Path]:
    """A file for each stretch of ``run``; stretches that are built alike share one."""
    files: dict[tuple[str, tuple[int, ...]], Path] = {}
    paths = {}
    for name, stretch in stretches(run).items():
        alike = (repr(stretch.module), stretch.input_shape)
        if alike not in files:
            files[alike] = folder / f"{name}.pte"
            with warnings.catch_warnings():
                # Nothing in them is binary, as it should be.
                warnings.simplefilter("ignore", ExportWarning)
                to_pte(stretch.module, torch.zeros(stretch.input_shape), files[alike], name=name)
        paths[name] = files[alike]
    return paths


def compare_units(
    binary: "Run",
    twin: "Run",
    explanation: Explanation,
    layers: Sequence[LayerTime],
    twin_layers: Mapping[str, Sequence[LayerTime]],
) -> list[Unit]:
    """Time and size of every stretch of both networks.

    Args:
        explanation: of the binary network's export.
        layers: of the binary network's file.
        twin_layers: stretch -> nodes of its file.
    """
    times = _times(explanation, layers)
    sizes, twin_sizes = (_sizes(run) for run in (binary, twin))
    return [
        Unit(
            name,
            _content(stretch),
            times[name],
            sum(layer.seconds for layer in twin_layers[name]),
            sizes[name],
            twin_sizes[name],
        )
        for name, stretch in stretches(binary).items()
    ]


def _times(explanation: Explanation, layers: Sequence[LayerTime]) -> dict[str, float]:
    """Stretch -> seconds. Delegates do not tell where they came from: they follow the order of the graph."""
    delegated = [
        name for name, _ in groupby(_stretch_of(row.path) for row in explanation.rows if row.runs == "xnnpack")
    ]
    float_parts = [layer for layer in layers if not layer.path]
    times: dict[str, float] = {}
    for layer in layers:
        if layer.path:
            times[_stretch_of(layer.path)] = times.get(_stretch_of(layer.path), 0.0) + layer.seconds
    for name, layer in zip(delegated, float_parts, strict=True):
        times[name] = times.get(name, 0.0) + layer.seconds
    return times


def _sizes(run: "Run") -> dict[str, float]:
    sizes: dict[str, float] = {}
    for layer in summary(run.model, run.info.input_shape).layers:
        name = _stretch_of(layer.path)
        sizes[name] = sizes.get(name, 0.0) + layer.bytes
    return sizes


def _stretch_of(path: str) -> str:
    first, _, rest = path.partition(".")
    return {"stem": first, "blocks": f"{first}.{rest.partition('.')[0]}"}.get(first, _HEAD)


def _content(stretch: Stretch) -> str:
    """Channels in and out, and the size of the image that comes in, such as ``"64 → 128, 8x8"``."""
    layers = [layer for layer in stretch.module.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    channels, height, width = stretch.input_shape[1:]
    outputs = layers[-1].weight.shape[0]
    return f"{channels} → {outputs}, {height}x{width}"
