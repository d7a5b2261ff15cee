"""Adds up the differences of operators' outputs from their references and from the trained model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, fx, nn

import bittern.ops  # noqa: F401  registers the operators
from bittern.export.capture import Captured
from bittern.export.errors import ExportError
from bittern.export.passes.signs import BINARIZE, holds_signs
from bittern.export.refusals import first_line
from bittern.export.verify.decisions import decisions, turned
from bittern.export.verify.result import MARGIN, LayerCheck, Verification, Where
from bittern.export.verify.rounding import Interpreter
from bittern.ops import layout
from bittern.runtime.metadata import Operator

if TYPE_CHECKING:
    from bittern.runtime import OperatorCall


@dataclass(frozen=True)
class ReferenceCall:
    """A call of a reference: like `bittern.runtime.OperatorCall`, without its inputs."""

    name: str
    outputs: tuple[npt.NDArray[np.generic], ...]
    inputs: tuple[object, ...] = ()


class _Values(Interpreter):
    """Runs a captured model and keeps the values of the nodes called ``names``."""

    def __init__(self, module: fx.GraphModule, names: set[str]) -> None:
        super().__init__(module)
        self.names = names
        self.values: dict[str, Any] = {}

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if n.name in self.names:
            self.values[n.name] = result
        return result


class Comparison:
    """Adds up the differences between the trained model and a file, one batch after another.

    Results are compared with those of the module itself. Its values in between are those of ``captured``, the graph
    that torch made of it, whose results must be the module's too.

    ``operators``: the calls of the file. ``batch``: how many images PyTorch computes at a time; of a dynamic batch at
    most.
    """

    def __init__(self, captured: Captured, operators: Sequence[Operator], batch: int) -> None:
        self.input_shape = (batch, *captured.input_shape[1:])
        self.model = captured.module
        self.fixed = captured.max_batch is None
        self.module = captured.graph.module
        self.steps = captured.rounds
        self.nodes = {node.name: node for node in self.module.graph.nodes}
        self.operators = operators
        self.compared: set[str] = set()
        for operator in operators:
            for name in operator.outputs:
                if name is None:
                    continue
                if name not in self.nodes:
                    raise ExportError(f"the file was not exported from this model, which has no node {name}")
                self.compared |= {name, *_binarized(self.nodes[name])}
        self.layers: dict[tuple[int, int], dict[str, Any]] = {}
        self.logit_margin = self.capture_margin = 0.0
        self.images = 0
        self.logits: list[np.ndarray] = []
        self.model_logits: list[np.ndarray] = []

    def filled(self, images: np.ndarray) -> Tensor:
        """``images``, filled up with zeros to a whole chunk if the batch is fixed."""
        result = torch.zeros(self.input_shape if self.fixed else images.shape)
        result[: len(images)] = torch.from_numpy(np.ascontiguousarray(images))
        return result

    def add(self, images: np.ndarray, logits: np.ndarray, calls: "Sequence[OperatorCall | ReferenceCall]") -> None:
        """One chunk of images, and the engine's logits and calls on it; calls without inputs are the reference's."""
        if [call.name for call in calls] != [operator.op for operator in self.operators]:
            raise ExportError(
                "the engine called other operators than the file's metadata lists: export the model again"
            )
        count = len(images)
        model = _Values(self.module, self.compared)
        filled = self.filled(images)
        with torch.no_grad():
            graph_logits = model.run(filled)[:count]
        model_logits, diverged = self._of_the_module(filled, graph_logits)
        if tuple(model_logits.shape) != logits.shape:
            raise ExportError(
                f"the file gives {list(logits.shape)}, this model {list(model_logits.shape)}: not its file"
            )
        self.logits.append(logits)
        self.model_logits.append(model_logits.numpy())
        for index, (operator, call) in enumerate(zip(self.operators, calls, strict=True)):
            expected = getattr(torch.ops.bittern, operator.op)(*map(_tensor, call.inputs)) if call.inputs else None
            references = expected if isinstance(expected, tuple) else (expected,) * len(call.outputs)
            for position, (actual, reference) in enumerate(zip(map(_tensor, call.outputs), references, strict=True)):
                row = self.layers.setdefault(
                    (index, position),
                    {"values": 0, "reference_differences": 0, "margin": 0.0, "output": _kind(actual)},
                )
                row["values"] += actual.numel() * (layout.WORD_BITS if actual.dtype == torch.int32 else 1)
                if reference is not None:
                    self._compare_reference(row, actual, reference)
                if (name := operator.outputs[position]) is not None:
                    self._compare_model(row, actual, name, model.values, diverged)
        _, share, _ = difference(torch.from_numpy(logits)[~diverged], model_logits[~diverged])
        self.logit_margin = max(self.logit_margin, share)
        self.images += count

    def _of_the_module(self, filled: Tensor, graph_logits: Tensor) -> tuple[Tensor, Tensor]:
        """The module's own results, and the images in which the captured graph decides otherwise by rounding errors."""
        count, images = len(graph_logits), filled.contiguous()
        model_logits = run_module(self.model, images)[:count]
        diverged = torch.zeros(count, dtype=torch.bool)
        if graph_logits.shape != model_logits.shape:
            self.capture_margin = float("inf")
            return model_logits, diverged
        if difference(graph_logits, model_logits)[1] > MARGIN:
            ours = decisions(lambda: _Values(self.module, set()).run(filled))
            diverged = turned(ours, decisions(lambda: run_module(self.model, images)), count)
        _, share, _ = difference(graph_logits[~diverged], model_logits[~diverged])
        self.capture_margin = max(self.capture_margin, share)
        return model_logits, diverged

    def _compare_reference(self, row: dict[str, Any], actual: Tensor, reference: Tensor) -> None:
        if actual.shape != reference.shape or actual.dtype != reference.dtype:
            raise ExportError(
                f"the engine gave {actual.dtype} {list(actual.shape)}, the reference {list(reference.shape)}"
            )
        if actual.dtype == torch.int32:
            words = actual.bitwise_xor(reference)
            different = layout.unpack_bits(words, words.shape[-1] * layout.WORD_BITS)
        else:
            different = ~((actual == reference) | (actual.isnan() & reference.isnan()))
            largest, _, _ = difference(actual[different], reference[different])
            row["largest_reference_difference"] = max(row.get("largest_reference_difference", 0.0), largest)
        found = int(different.sum())
        row["reference_differences"] += found
        if found and row.get("reference_where") is None:
            if actual.dtype != torch.int32 and actual.dim() == 4:
                different = different.movedim(1, -1)
            row["reference_where"] = self._where(different.long())

    def _compare_model(
        self, row: dict[str, Any], actual: Tensor, name: str, values: dict[str, Any], diverged: Tensor
    ) -> None:
        value = values[name]
        value = _like_an_image((value[0] if isinstance(value, (tuple, list)) else value)[: len(actual)], actual)
        if actual.dtype != torch.int32 and not holds_signs(self.nodes[name]):
            largest, share, worst = difference(actual[~diverged], value[~diverged])
            row["largest_difference"] = max(row.get("largest_difference") or 0.0, largest)
            if worst is not None and share > row["margin"]:
                row["margin"] = share
                row["model_where"] = self._where(worst, channel_dim=1 if worst.dim() == 4 else -1, images=~diverged)
            return
        if actual.dtype == torch.int32:
            channel_dim = 1 if value.dim() == 4 and value.movedim(1, -1).shape[:-1] == actual.shape[:-1] else -1
            bits = layout.unpack_bits(actual, value.shape[channel_dim])
        else:
            channel_dim = 1 if value.dim() == 4 else -1
            bits = actual.movedim(channel_dim, -1) < 0
        different = bits != (value.movedim(channel_dim, -1) < 0)
        row["model_differences"] = row.get("model_differences", 0) + int(different.sum())
        images = different.flatten(1).any(1) & ~diverged
        if bool(images.any()):
            margins = torch.where(different, self._distances(name, values, different, channel_dim), 0.0)[images]
            if (margin := margins.max().item()) > row["margin"] or row.get("model_where") is None:
                row["margin"] = max(row["margin"], margin)
                row["model_where"] = self._where(margins, images=images)
        diverged |= images

    def _distances(self, name: str, values: dict[str, Any], different: Tensor, channel_dim: int) -> Tensor:
        """How far each value that was binarized lies from 0, as a share of the largest finite one; infinity for NaN.

        In ``different``'s shape.
        """
        before = self._before(self.nodes[name], values)[: len(different)]
        before = _like_an_image(before, different).movedim(channel_dim, -1).abs()
        return (before / _largest(before)).nan_to_num(nan=float("inf"), posinf=float("inf"))

    def _before(self, node: fx.Node, values: dict[str, Any]) -> Tensor:
        """What ``node``, which holds signs, would hold without any `binarize` in front of it."""
        if node.target is BINARIZE:
            return values[node.all_input_nodes[0].name]  # type: ignore[no-any-return]
        # It moves or pools signs: the same of the values.
        args, kwargs = fx.map_arg((node.args, node.kwargs), lambda source: self._before(source, values))
        return node.target(*args, **kwargs)  # type: ignore[no-any-return, operator]

    def _where(self, values: Tensor, *, channel_dim: int = -1, images: Tensor | None = None) -> Where:
        """The first of the largest ``values``, ``[N, ...]``; ``images``: which of the chunk's they are of."""
        values = values.movedim(channel_dim, -1).contiguous()
        image, *pixel, channel = (int(i) for i in torch.unravel_index(values.argmax(), values.shape))
        if images is not None:
            image = int(images.nonzero().flatten()[image])
        return Where(self.images + image, channel, tuple(pixel))

    def result(self, isa: str, other_constants: Sequence[tuple[str, ...]] | None = None) -> Verification:
        """``other_constants``: for each operator, as of `other_constants`."""
        logits, model_logits = np.concatenate(self.logits), np.concatenate(self.model_logits)
        layers = []
        for (index, _), row in sorted(self.layers.items()):
            operator = self.operators[index]
            other = other_constants[index] if other_constants is not None else ()
            layers.append(LayerCheck(operator.path, operator.op, other_constants=other, **row))
        return Verification(
            isa=isa,
            images=len(logits),
            layers=tuple(layers),
            predictions=_classes(logits),
            model_predictions=_classes(model_logits),
            logit_margin=self.logit_margin,
            capture_margin=self.capture_margin,
            largest_logit_difference=difference(torch.from_numpy(logits), torch.from_numpy(model_logits))[0],
            steps=self.steps,
        )


def run_module(module: nn.Module, images: Tensor) -> Tensor:
    """The result of a trained module for ``images``.

    Raises:
        ExportError: it fails for so many, or returns something else than a tensor.
    """
    try:
        with torch.no_grad():
            result = module(images.clone())
    except Exception as error:
        raise ExportError(
            f"{type(module).__name__} fails for an input of shape {list(images.shape)}: {first_line(error)}"
        ) from error
    if not isinstance(result, Tensor) or result.dim() == 0:
        raise ExportError(f"{type(module).__name__} returns no tensor of images for shape {list(images.shape)}")
    return result.detach()


def _binarized(node: fx.Node) -> set[str]:
    """The nodes whose values are binarized to the signs that ``node`` holds; its input where it holds none."""
    if node.target is BINARIZE or not node.all_input_nodes:
        return {source.name for source in node.all_input_nodes[:1]}
    return set().union(*map(_binarized, node.all_input_nodes)) if holds_signs(node) else set()


def _like_an_image(value: Tensor, actual: Tensor) -> Tensor:
    """Signals ``[N, C, L]`` as the engine computes them, images of one row; anything else as it is."""
    return value.unsqueeze(2) if value.dim() == 3 and actual.dim() == 4 else value


def _kind(output: Tensor) -> str:
    return "bits" if output.dtype == torch.int32 else "float"


def difference(actual: Tensor, expected: Tensor) -> tuple[float, float, Tensor | None]:
    """The largest difference of two tensors, its share of the largest finite value, and all differences.

    0 for no values, for equal infinities and for NaN in both; infinity for NaN or infinity in one of them. None for the
    differences if there are none.
    """
    if actual.numel() == 0:
        return 0.0, 0.0, None
    equal = (actual == expected) | (actual.isnan() & expected.isnan())
    differences = (actual - expected).abs().nan_to_num(nan=float("inf"), posinf=float("inf"))
    differences = torch.where(equal, 0.0, differences)
    largest = differences.max().item()
    return largest, largest / _largest(expected), differences if largest > 0 else None


def _largest(values: Tensor) -> float:
    """The largest finite magnitude; never 0."""
    return max(values.abs().nan_to_num(nan=0.0, posinf=0.0).max().item(), torch.finfo(torch.float32).tiny)


def _classes(logits: np.ndarray) -> tuple[int, ...]:
    """The class of each image; empty where the network gives no row of logits for each image."""
    return tuple(int(i) for i in logits.argmax(1)) if logits.ndim == 2 else ()


def _tensor(value: Any) -> Any:
    return torch.from_numpy(value) if isinstance(value, np.ndarray) else value
