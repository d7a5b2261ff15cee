"""`binary_weights`: the signs that a network multiplies by, of a module or of its file."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, fx, nn

from bittern.export.capture import capture
from bittern.export.errors import ExportError
from bittern.export.graph import Provenance
from bittern.export.passes.views import PackedLayer
from bittern.export.rewrite import rewrite
from bittern.export.signature import Example
from bittern.ops import layout
from bittern.runtime.weights import BinaryWeights, by_path, flags


def binary_weights(
    source: nn.Module | str | os.PathLike[str], example: Example | None = None
) -> dict[str, BinaryWeights]:
    """The -1 and +1 weights and the scales of the packed layers, by module path: of a module, or of a ``.pte``.

    Both give the same for a module and the file that `to_pte` writes of it, as `Engine.weights` does without torch: the
    docstring of `BinaryWeights` says what the scale includes.

    Args:
        source: a module, or whatever `to_pte` takes for one, which is captured; or the path of a file, which is loaded.
        example: of a module: as for `to_pte`.

    Raises:
        ExportError: a module without ``example``, or one that cannot be captured.
        ModelFileError: the file cannot be loaded.
    """
    if isinstance(source, (str, os.PathLike)):
        from bittern.runtime import load

        return load(Path(source)).weights()
    if example is None:
        raise ExportError("binary_weights of a module needs an example input: binary_weights(module, example)")
    graph = rewrite(capture(source, example)).graph
    layers = [layer for node in graph.calls() if (layer := PackedLayer.match(node)) is not None]
    return by_path((Provenance.of(layer.node).path, _weights(layer, graph.constant)) for layer in layers)


def _weights(layer: PackedLayer, constant: Callable[[object], Tensor | None]) -> BinaryWeights:
    geometry, packed = layer.geometry, constant(layer.weight)
    assert packed is not None
    signs = layout.unpack_weight(packed, layer.channels, geometry.group_channels, geometry.kernel_size, geometry.groups)
    opposite = torch.from_numpy(flags(Provenance.of(layer.node).flipped, layer.channels))
    signs = torch.where(opposite.view(-1, 1, 1, 1), -signs, signs)
    scale = None
    if layer.node.target is not layer.forms.threshold:
        factor = layer.epilogue.get("mul")
        found = constant(factor) if isinstance(factor, fx.Node) else torch.ones(layer.channels)
        assert found is not None
        scale = found.numpy().astype(np.float32)
    values = signs.to(torch.int8).numpy()
    return BinaryWeights(values.reshape(values.shape[:2]) if layer.channel_dim == -1 else values, scale)
