"""Whether a file's metadata is about its program."""

from collections.abc import Sequence

from bittern._text import short_text
from bittern.runtime.metadata import Metadata
from bittern.runtime.program import ProgramCall

_NAMESPACE = "bittern::"
Tensor = tuple[Sequence[int], Sequence[int], str]
"""A tensor of a program: sizes, order of dimensions, dtype."""


def contradiction(
    metadata: Metadata, *, inputs: Sequence[Tensor], outputs: Sequence[Tensor], calls: Sequence[ProgramCall]
) -> str | None:
    """In what ``metadata`` and a program of these tensors and calls differ, in words; None if they agree."""
    signature = metadata.signature
    for what, stated, found in (("input", signature.inputs, inputs), ("output", signature.outputs, outputs)):
        if len(stated) != len(found):
            return f"the metadata names {len(stated)} {what}s, the program has {len(found)}"
        for spec, (sizes, _, dtype) in zip(stated, found, strict=True):
            if (spec.shape, spec.dtype) != (tuple(sizes), dtype):
                return (
                    f"the metadata says {what}_shape {short_text(str(list(spec.shape)))} of {spec.dtype} for "
                    f"{short_text(repr(spec.name))}, the program has {list(sizes)} of {dtype}"
                )
    names, lengths = metadata.class_names, [spec.shape[-1] for spec in signature.outputs if spec.shape]
    if names is not None and len(names) not in lengths:
        return f"the metadata has {len(names)} class names, the program has outputs {lengths}"
    own = own_calls(calls)
    if len(own) != len(metadata.operators):
        return f"the metadata lists {len(metadata.operators)} operators, the program calls {len(own)} of Bittern's"
    for place, (operator, call) in enumerate(zip(metadata.operators, own, strict=True)):
        if _NAMESPACE + operator.op != call.operator:
            return f"the metadata calls operator {place} {short_text(operator.op)}, the program {call.operator}"
        if any(not 0 <= at < len(call.arguments) for at in operator.activations):
            return (
                f"the metadata says that operator {place} depends on its arguments "
                f"{short_text(str(list(operator.activations)))}, it has {len(call.arguments)}"
            )
    return None


def own_calls(calls: Sequence[ProgramCall]) -> list[ProgramCall]:
    """The calls of Bittern's operators, which metadata lists in this order."""
    return [call for call in calls if call.operator.startswith(_NAMESPACE)]
