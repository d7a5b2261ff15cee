"""What treats rows and columns of an image alike everywhere, as two matrix products: ``y = R @ x @ C^T``."""

import torch
from torch import Tensor, fx

from bittern.export.graph import Graph, Provenance

aten = torch.ops.aten

_MAX_NUMBERS = 2**20
"""Of one matrix: 4 MB of the file."""


def fits(*matrices: Tensor) -> bool:
    """Whether the matrices are small enough to stand in a file."""
    return all(matrix.numel() <= _MAX_NUMBERS for matrix in matrices)


def multiply_axes(graph: Graph, node: fx.Node, x: fx.Node, rows: Tensor, columns: Tensor) -> None:
    """Replaces ``node`` by ``rows [H', H] @ x [N, C, H, W] @ columns [W', W]^T``; an identity is left out."""
    own = Provenance.of(node)
    part, result = own.intermediate(), x

    def product(image: fx.Node, matrix: Tensor) -> fx.Node:
        return graph.call(node, aten.linear.default, (image, graph.add_constant(matrix, node)), part)

    if not _is_identity(columns):
        result = product(result, columns)
    if not _is_identity(rows):
        turned = graph.call(node, aten.permute.default, (result, [0, 1, 3, 2]), part)
        result = graph.call(node, aten.permute.default, (product(turned, rows), [0, 1, 3, 2]), part)
    if result is not x:
        own.attach(result)
    graph.replace(node, result)


def _is_identity(matrix: Tensor) -> bool:
    return matrix.shape[0] == matrix.shape[1] and torch.equal(matrix, torch.eye(len(matrix)))
