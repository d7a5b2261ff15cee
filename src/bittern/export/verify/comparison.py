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
from bittern.export.refusals import first_line, shapes_of
from bittern.export.signature import output_nodes, tensors_of
from bittern.export.verify import ties
from bittern.export.verify.decisions import decisions, turned
from bittern.export.verify.differences import difference, largest_of
from bittern.export.verify.inputs import tensors
from bittern.export.verify.outputs import OutputComparison
from bittern.export.verify.result import MARGIN, LayerCheck, Verification, Where
from bittern.export.verify.rounding import Interpreter
from bittern.ops import layout
from bittern.runtime.arguments import count_of
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
        self.signature, self.batch = captured.signature, batch
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
        self.outputs = [
            OutputComparison(node, spec.dtype, spec.batched)
            for node, spec in zip(output_nodes(captured.graph), self.signature.outputs, strict=True)
        ]
        self.compared |= {name for output in self.outputs if not output.is_float for name in ties.read_by(output.node)}
        self.layers: dict[tuple[int, int], dict[str, Any]] = {}
        self.capture_margin = 0.0
        self.images = 0

    def filled(self, inputs: Sequence[np.ndarray]) -> tuple[Tensor, ...]:
        """``inputs``, filled up with zeros to a whole chunk if the batch is fixed."""
        result = []
        for spec, given in zip(self.signature.inputs, tensors(inputs), strict=True):
            if self.fixed and spec.batched:
                filled = given.new_zeros((self.batch, *given.shape[1:]))
                filled[: len(given)] = given
                result.append(filled)
            else:
                result.append(given)
        return tuple(result)

    def add(
        self,
        inputs: Sequence[np.ndarray],
        outputs: Sequence[np.ndarray],
        calls: "Sequence[OperatorCall | ReferenceCall]",
    ) -> None:
        """One chunk of images, and the engine's outputs and calls on it; calls without inputs are the reference's."""
        if [call.name for call in calls] != [operator.op for operator in self.operators]:
            raise ExportError(
                "the engine called other operators than the file's metadata lists: export the model again"
            )
        count = count_of(self.signature, inputs)
        model = _Values(self.module, self.compared)
        filled = self.filled(inputs)
        with torch.no_grad():
            of_the_graph = self._cut(tensors_of(model.run(*filled)), count)
        expected, diverged = self._of_the_module(filled, of_the_graph, count)
        actual = tensors(outputs)
        if [x.shape for x in expected] != [x.shape for x in actual]:
            raise ExportError(f"the file gives {shapes_of(actual)}, this model {shapes_of(expected)}: not its file")
        for index, (operator, call) in enumerate(zip(self.operators, calls, strict=True)):
            given = getattr(torch.ops.bittern, operator.op)(*map(_tensor, call.inputs)) if call.inputs else None
            references = given if isinstance(given, tuple) else (given,) * len(call.outputs)
            for position, (output, reference) in enumerate(zip(map(_tensor, call.outputs), references, strict=True)):
                row = self.layers.setdefault(
                    (index, position),
                    {"values": 0, "reference_differences": 0, "margin": 0.0, "output": _kind(output)},
                )
                row["values"] += output.numel() * (layout.WORD_BITS if output.dtype == torch.int32 else 1)
                if reference is not None:
                    self._compare_reference(row, output, reference)
                if (name := operator.outputs[position]) is not None:
                    self._compare_model(row, output, name, model.values, diverged)
        # What an integer decides may change the floats of its image.
        for output, ours, theirs in sorted(
            zip(self.outputs, actual, expected, strict=True), key=lambda each: each[0].is_float
        ):
            output.add(ours, theirs, model.values, diverged)
        self.images += count

    def _cut(self, outputs: Sequence[Tensor], count: int) -> tuple[Tensor, ...]:
        """The first ``count`` images of the outputs."""
        return tuple(x[:count] if s.batched else x for s, x in zip(self.signature.outputs, outputs, strict=True))

    def _of_the_module(
        self, filled: Sequence[Tensor], of_the_graph: Sequence[Tensor], count: int
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        """The module's own results, and the images in which the captured graph decides otherwise by rounding errors."""
        inputs = [x.contiguous() for x in filled]
        results = run_module(self.model, inputs)
        diverged = torch.zeros(count, dtype=torch.bool)
        if len(results) != len(of_the_graph) or any(
            spec.batched and x.dim() == 0 for spec, x in zip(self.signature.outputs, results, strict=False)
        ):
            raise ExportError(f"{type(self.model).__name__} returns no tensor of images for {shapes_of(inputs)}")
        expected = self._cut(results, count)
        pairs = list(zip(of_the_graph, expected, self.signature.outputs, strict=True))
        if any(ours.shape != theirs.shape for ours, theirs, _ in pairs):
            self.capture_margin = float("inf")
            return expected, diverged
        if any(difference(ours, theirs)[1] > MARGIN for ours, theirs, _ in pairs):
            decided = decisions(lambda: _Values(self.module, set()).run(*filled))
            diverged = turned(decided, decisions(lambda: run_module(self.model, inputs)), count)
        for ours, theirs, spec in pairs:
            same = ~diverged if spec.batched else slice(None)
            self.capture_margin = max(self.capture_margin, difference(ours[same], theirs[same])[1])
        return expected, diverged

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
        return (before / largest_of(before)).nan_to_num(nan=float("inf"), posinf=float("inf"))

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
        layers = []
        outputs = [output.result(spec.name) for output, spec in zip(self.outputs, self.signature.outputs, strict=True)]
        classes = self.outputs[0].classes() if self.signature.structure == 0 else ((), ())
        for (index, _), row in sorted(self.layers.items()):
            operator = self.operators[index]
            other = other_constants[index] if other_constants is not None else ()
            layers.append(LayerCheck(operator.path, operator.op, other_constants=other, **row))
        return Verification(
            isa=isa,
            images=self.images,
            layers=tuple(layers),
            predictions=classes[0],
            model_predictions=classes[1],
            logit_margin=max(output.margin for output in outputs),
            capture_margin=self.capture_margin,
            largest_logit_difference=max(output.largest_difference for output in outputs),
            steps=self.steps,
            outputs=tuple(outputs),
        )


def run_module(module: nn.Module, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The flat list of results of a trained module.

    Raises:
        ExportError: it fails for so many, or returns something else than tensors.
    """
    try:
        with torch.no_grad():
            results = tensors_of(module(*(x.clone() for x in inputs)))
    except Exception as error:
        raise ExportError(
            f"{type(module).__name__} fails for an input of shape {shapes_of(inputs)}: {first_line(error)}"
        ) from error
    if not all(isinstance(result, Tensor) for result in results):
        raise ExportError(f"{type(module).__name__} returns no tensor for shape {shapes_of(inputs)}")
    return tuple(result.detach() for result in results)


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


def _tensor(value: Any) -> Any:
    return torch.from_numpy(value) if isinstance(value, np.ndarray) else value
