"""Whether a file's metadata is about its program."""

from collections.abc import Sequence

from bittern._text import short_text
from bittern.runtime.metadata import Metadata
from bittern.runtime.program import Call

_NAMESPACE = "bittern::"


def contradiction(
    metadata: Metadata, *, input_shape: Sequence[int], output_shape: Sequence[int], calls: Sequence[Call]
) -> str | None:
    """In what ``metadata`` and a program with these shapes and calls differ, in words; None if they agree."""
    for name, said, found in (
        ("input_shape", metadata.input_shape, input_shape),
        ("output_shape", metadata.output_shape, output_shape),
    ):
        if said != tuple(found):
            return f"the metadata says {name} {short_text(str(list(said)))}, the program has {list(found)}"
    names = metadata.class_names
    if names is not None and (not output_shape or len(names) != output_shape[-1]):
        return f"the metadata has {len(names)} class names, the program has outputs {list(output_shape)}"
    own = [call for call in calls if call.operator.startswith(_NAMESPACE)]
    if len(own) != len(metadata.operators):
        return f"the metadata lists {len(metadata.operators)} operators, the program calls {len(own)} of Bittern's"
    for place, (operator, call) in enumerate(zip(metadata.operators, own, strict=True)):
        if _NAMESPACE + operator.op != call.operator:
            return f"the metadata calls operator {place} {short_text(operator.op)}, the program {call.operator}"
        if any(not 0 <= at < call.arguments for at in operator.activations):
            return (
                f"the metadata says that operator {place} depends on its arguments "
                f"{short_text(str(list(operator.activations)))}, it has {call.arguments}"
            )
    return None
