"""Why a module cannot be exported, in one line: its path, the operator and a way out, instead of pages by torch."""

import traceback
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from bittern.export.errors import ExportError
from bittern.export.graph import Graph, Provenance, arguments

_DATA_DEPENDENT = ("data-dependent", "Dynamic control flow", "non-static conditional")
_SHAPES = "the engine's shapes are fixed at export: compute with torch.where or a mask on the whole tensor"
_NUMBERS = (torch.ops.aten.item.default, torch.ops.aten._local_scalar_dense.default)
_MAX_CHARACTERS = 300  # of a third party's message


def failure(error: Exception, module: nn.Module, example: Sequence[Tensor], max_batch: int | None) -> ExportError:
    """The message for torch.export's ``error`` on ``module``."""
    own = _own_failure(module, example)
    place, line = _place(error, module)
    shape = shapes_of(example)
    if own is not None:
        place, _ = _place(own, module)
        return ExportError(f"{place} fails for an input of shape {shape}: {first_line(own)}")
    text = str(error)
    if any(sign in text for sign in _DATA_DEPENDENT) or "DataDependent" in type(error).__name__:
        return ExportError(
            f"{place} decides by values that it computes{line}, but the engine runs the same operators for every "
            "input: use torch.where for both cases, or decide by shapes and settings alone"
        )
    if "no fake impl" in text or "register_fake" in text:
        return ExportError(f"{place} calls an operator that has no fake kernel{line}: {first_line(error)}")
    if ".numpy()" in text:
        return ExportError(f"{place} leaves PyTorch for numpy{line}: compute it with torch operators")
    if max_batch is not None and ("onstraint" in text or "specialized" in text or "batch" in text):
        reason = first_line(error).rstrip(".")
        return ExportError(
            f"{type(module).__name__} does not run for every batch from 1 to {max_batch}: {reason}. "
            "Take sizes from x.shape[0] or -1 instead of numbers, or export without a dynamic batch"
        )
    return ExportError(f"torch.export cannot capture {place} for an input of shape {shape}{line}: {first_line(error)}")


def check_graph(graph: Graph, signature: Any) -> None:
    """Raises ExportError if a captured graph does something that the engine cannot do."""
    changed = [*signature.buffers_to_mutate.values(), *signature.user_inputs_to_mutate.values()]
    if changed:
        raise ExportError(
            f"the model writes into {', '.join(map(str, changed))}; the engine keeps nothing between calls: "
            "compute a new tensor instead (no x.add_(), no buffer updates in evaluation mode)"
        )
    for node in graph.calls():
        if (reason := _why_not(node)) is not None:
            operator = str(node.target._schema.name) if hasattr(node.target, "_schema") else node.name
            path = Provenance.of(node).path
            raise ExportError(f"{operator} in {path or 'the model itself'} {reason}")


def _why_not(node: fx.Node) -> str | None:
    """None if the engine can compute ``node``, else why not and what to do."""
    if isinstance(node.target, torch._ops.HigherOrderOperator):
        return "is control flow, but the engine runs the same operators for every input: use torch.where"
    if node.target in _NUMBERS:
        return "reads a number out of a tensor (as .item(), float(x) and int(x) do): keep it a tensor"
    if torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ()) and _draws(node):
        return "draws random numbers: do so in training only (if self.training)"
    namespace = getattr(node.target, "namespace", "aten")
    if namespace not in ("aten", "bittern"):
        return "has no kernel in the engine, which knows PyTorch's operators and Bittern's: write it with those"
    values = node.meta.get("val")
    for value in values if isinstance(values, (tuple, list)) else (values,):
        if not isinstance(value, Tensor):
            continue
        if value.dtype.is_complex:
            return "computes complex numbers: write it with real and imaginary parts as channels"
        if value.dtype == torch.float64:
            return "computes in float64; the engine computes in float32: use .float()"
        if value.dtype in (torch.bfloat16, torch.float16):
            return (
                f"computes in {str(value.dtype).removeprefix('torch.')}; the engine computes in float32: use .float(), "
                "and leave autocast to training, torch.autocast(..., enabled=self.training)"
            )
        if torch.fx.experimental.symbolic_shapes.free_unbacked_symbols(value.shape):
            return f"has a result whose shape depends on the values of its input; {_SHAPES}"
    return None


def _draws(node: fx.Node) -> bool:
    """Whether an operator that can drop values does: not in evaluation mode (`lstm`), nor with a probability of 0."""
    named = arguments(node)
    training = all(named.get(name) is not False for name in ("train", "training"))
    return training and all(named.get(name) != 0 for name in ("p", "dropout_p"))


def shapes_of(inputs: Sequence[Tensor]) -> str:
    """The shape of an input, or those of several: ``[1, 3, 8, 8]`` and ``[1, 5]``."""
    return " and ".join(str(list(x.shape)) for x in inputs)


def _own_failure(module: nn.Module, example: Sequence[Tensor]) -> Exception | None:
    """The error that the module itself raises on the example; None if it runs."""
    try:
        with torch.no_grad():
            module(*(x.clone() for x in example))
    except Exception as error:
        return error
    return None


def _place(error: BaseException, module: nn.Module) -> tuple[str, str]:
    """The innermost module that ``error`` passed through, and where in its code: (name, " (file:line)" or "")."""
    names = {id(child): name for name, child in module.named_modules()}
    innermost, where = type(module).__name__, ""
    torch_files = torch.__file__.rpartition("__init__")[0]
    for frame, number in traceback.walk_tb(error.__traceback__):
        owner = frame.f_locals.get("self")
        if id(owner) not in names or not isinstance(owner, nn.Module):
            continue
        name = names[id(owner)]
        innermost = f"{name} ({type(owner).__name__})" if name else type(owner).__name__
        file = frame.f_code.co_filename
        if not file.startswith(torch_files):
            where = f" ({file.rpartition('/')[2]}:{number})"
    return innermost, where


def first_line(error: BaseException) -> str:
    """The first line of an error's message, shortened."""
    if isinstance(error, KeyError):
        return f"KeyError {error}"
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return line if len(line) <= _MAX_CHARACTERS else f"{line[:_MAX_CHARACTERS]} ..."
