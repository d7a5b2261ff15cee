"""Adds up the differences of the network's outputs from those of its module."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx

from bittern.export.verify import ties
from bittern.export.verify.differences import difference
from bittern.export.verify.result import OutputCheck


class OutputComparison:
    """Adds up the differences of one output of the network, which ``node`` of the captured graph computes."""

    def __init__(self, node: fx.Node, dtype: str, batched: bool) -> None:
        self.node, self.dtype, self.batched = node, dtype, batched
        self.is_float = dtype == "float32"
        self.margin = 0.0
        self.differences = 0
        self.actual: list[Tensor] = []
        self.expected: list[Tensor] = []

    def add(self, actual: Tensor, expected: Tensor, values: Mapping[str, Any], diverged: Tensor) -> None:
        """One chunk; an integer that a tie decided otherwise adds its image to ``diverged``."""
        self.actual.append(actual)
        self.expected.append(expected)
        same = ~diverged if self.batched else slice(None)
        if self.is_float:
            self.margin = max(self.margin, difference(actual[same], expected[same])[1])
        elif not torch.equal(actual, expected):
            self.differences += int((actual != expected).sum())
            apart = ties.distances(self.node, actual, expected, values)
            if apart[same].numel():
                self.margin = max(self.margin, apart[same].max().item())
            if self.batched:
                diverged |= (actual != expected).flatten(1).any(1) if actual.dim() > 1 else actual != expected

    def result(self, name: str) -> OutputCheck:
        if not self.is_float:
            return OutputCheck(name, self.dtype, self.margin, self.differences)
        largest, _, _ = difference(torch.cat(_rows(self.actual)), torch.cat(_rows(self.expected)))
        return OutputCheck(name, self.dtype, self.margin, largest_difference=largest)

    def classes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The class of each image, by the engine and by the model; empty where there is no row of logits for each."""
        if not self.is_float or self.actual[0].dim() != 2:
            return (), ()
        actual, expected = (tuple(torch.cat(x).numpy().argmax(1).tolist()) for x in (self.actual, self.expected))
        return actual, expected


def _rows(values: Sequence[Tensor]) -> list[Tensor]:
    return [value.flatten() for value in values]
