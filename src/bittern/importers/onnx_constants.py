"""Operations on constants, in float32 and int64: how exporters write quantized weights and the shapes of views."""

from collections.abc import Callable

import torch
from torch import Tensor

from bittern.importers.onnx_call import OnnxCall, check_broadcast

MAX_BITS = 32
FLOATS = (1, 10, 11)
"""ONNX's numbers of float32, float16 and float64."""

_ROUNDING: dict[str, Callable[[Tensor], Tensor]] = {
    "ROUND": torch.round,
    "FLOOR": torch.floor,
    "CEIL": torch.ceil,
    "ROUND_TO_ZERO": torch.trunc,
}


def _bipolar(call: OnnxCall) -> Tensor:
    """``scale`` where ``x >= 0``, else ``-scale``."""
    x, scale = call.constant(0), call.constant(1)
    check_broadcast(call, x, scale)
    return torch.where(x < 0, -1.0, 1.0) * scale


def _quant(call: OnnxCall) -> Tensor:
    """The numbers that integers of ``bitwidth`` bits stand for, as QONNX's specification of ``Quant`` says::

    (round(clamp(x / scale + zero, low, high)) - zero) * scale
    """
    x, scale, zero = call.constant(0), call.constant(1), call.constant(2)
    check_broadcast(call, x, scale, zero)
    low, high = limits(call)
    rounding = _ROUNDING[call.text("rounding_mode", "ROUND", tuple(_ROUNDING))]
    return (rounding((x / scale + zero).clamp(low, high)) - zero) * scale


def limits(call: OnnxCall) -> tuple[float, float]:
    """The smallest and the largest integer of ``bitwidth`` bits."""
    bits = call.number(3)
    if bits != int(bits) or not 1 <= bits <= MAX_BITS:
        raise call.error(f"has {bits} bits; 1 to {MAX_BITS} are imported")
    signed, narrow = bool(call.integer("signed", 1)), bool(call.integer("narrow", 0))
    high = 2 ** (int(bits) - signed) - 1
    return (float(-high - (not narrow)) if signed else 0.0), float(high - (narrow and not signed))


def _arithmetic(operation: Callable[[Tensor, Tensor], Tensor]) -> Callable[[OnnxCall], Tensor]:
    def compute(call: OnnxCall) -> Tensor:
        a, b = call.constant(0), call.constant(1)
        check_broadcast(call, a, b)
        return operation(a, b)

    return compute


def _divide(a: Tensor, b: Tensor) -> Tensor:
    return a / b if a.is_floating_point() else torch.div(a, b, rounding_mode="trunc")


def _given(call: OnnxCall) -> Tensor:
    value = call.node.attributes.get("value")
    if isinstance(value, Tensor):
        return value
    for key, kind in (("value_float", float), ("value_int", int), ("value_floats", float), ("value_ints", int)):
        if key in call.node.attributes:
            found = call.node.attributes[key]
            numbers = [kind(each) for each in found] if isinstance(found, list) else kind(found)
            return torch.tensor(numbers, dtype=torch.float32 if kind is float else torch.int64)
    raise call.error("holds no numbers")


def _transpose(call: OnnxCall) -> Tensor:
    x = call.constant(0)
    return x.permute(call.integers("perm", tuple(reversed(range(x.dim())))))


def _reshape(call: OnnxCall) -> Tensor:
    x, target = call.constant(0), call.constant(1).tolist()
    return x.reshape([x.shape[i] if size == 0 else size for i, size in enumerate(target)])


def _unsqueeze(call: OnnxCall) -> Tensor:
    x = call.constant(0)
    for axis in sorted(axes_of(call)):
        x = x.unsqueeze(axis)
    return x


def _squeeze(call: OnnxCall) -> Tensor:
    return call.constant(0).squeeze(axes_of(call))


def axes_of(call: OnnxCall) -> tuple[int, ...]:
    """Of an attribute, or of an input in later versions of ONNX."""
    if "axes" in call.node.attributes:
        return call.integers("axes", ())
    axes = call.optional(1)
    return () if axes is None else tuple(int(axis) for axis in axes.flatten())


def _gather(call: OnnxCall) -> Tensor:
    x, index = call.constant(0), call.constant(1)
    chosen = torch.index_select(x, call.integer("axis", 0), index.flatten())
    return chosen if index.dim() else chosen.squeeze(call.integer("axis", 0))


def _concat(call: OnnxCall) -> Tensor:
    return torch.cat([call.constant(index) for index in range(len(call.inputs))], call.integer("axis", 0))


def _cast(call: OnnxCall) -> Tensor:
    return call.constant(0).to(torch.float32 if call.integer("to", 1) in FLOATS else torch.int64)


CONSTANT_OPERATORS: dict[str, Callable[[OnnxCall], Tensor]] = {
    "BipolarQuant": _bipolar,
    "Quant": _quant,
    "IntQuant": _quant,
    "Add": _arithmetic(torch.add),
    "Sub": _arithmetic(torch.sub),
    "Mul": _arithmetic(torch.mul),
    "Div": _arithmetic(_divide),
    "Constant": _given,
    "Transpose": _transpose,
    "Reshape": _reshape,
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "Gather": _gather,
    "Concat": _concat,
    "Cast": _cast,
    "Identity": lambda call: call.constant(0),
    "Sqrt": lambda call: call.constant(0).sqrt(),
    "Neg": lambda call: -call.constant(0),
    "Abs": lambda call: call.constant(0).abs(),
    "Sign": lambda call: call.constant(0).sign(),
}
"""Operation -> what it gives for constants."""
