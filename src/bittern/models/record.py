"""One forward pass, operator by operator: what each one reads, multiplies and makes, and which tensors hold signs.

Tensors are followed by data flow, not by the classes of layers, so any module is understood. A tensor holds signs if
it came out of ``bittern::binarize`` and only moved, was padded or max-pooled since then; a weight may also have been
scaled per filter.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

FLOAT_BITS = 32
_aten = torch.ops.aten
_MATRIX_PRODUCTS = {_aten.addmm, _aten.mm, _aten.bmm, _aten.baddbmm, _aten.mv}
_ATTENTION = "_scaled_dot_product"  # start of the names of attention's operators: query, key, value come first
# Signs stay signs through these.
_KEEPS_SIGNS = {
    _aten.alias, _aten.cat, _aten.constant_pad_nd, _aten.clone, _aten.detach, _aten.expand, _aten.permute,
    _aten.max_pool2d_with_indices, _aten.select, _aten.slice, _aten.split, _aten.squeeze, _aten.t, _aten.transpose,
    _aten._to_copy, _aten.unsqueeze, _aten.view, _aten._unsafe_view,
}  # fmt: skip
_SCALES = {_aten.mul, _aten.div}
# One number in, one number out, in the same place, though torch does not tag them so.
_ELEMENTWISE = {_aten.native_batch_norm, _aten._prelu_kernel, _aten._to_copy, torch.ops.bittern.binarize}


@dataclass
class Value:
    """A tensor that is computed from the model's input; its views are the same value.

    ``bits``: of one element, 1 for signs. ``producer``: the step that made it, None for the input. ``readers``: steps.
    """

    numel: int
    bits: int
    producer: int | None
    readers: list[int] = field(default_factory=list)
    is_output: bool = False


@dataclass(frozen=True)
class Product:
    """The multiply-accumulates of a step.

    ``kind``: "conv", "pointwise" (1x1), "depthwise", "grouped" or "linear". ``weight_values``: how many; 0 where
    both operands are computed from the input. ``lost_signs``: which operator made real values of the input's signs.
    """

    kind: str
    macs: int
    input_binary: bool
    weight_binary: bool
    weight_values: int
    lost_signs: str = ""

    @property
    def binary(self) -> bool:
        return self.input_binary and self.weight_binary

    @property
    def weight_bytes(self) -> float:
        return self.weight_values * (1 if self.binary else FLOAT_BITS) / 8


@dataclass(frozen=True)
class Step:
    """An operator that computes something from the input. Numbers are indices of ``Record.values``.

    ``elementwise``: output i depends on no other elements than number i of the inputs, or on constants.
    """

    name: str
    path: str
    reads: tuple[int, ...]
    writes: tuple[int, ...]
    elementwise: bool
    product: Product | None


@dataclass
class Record:
    """``outputs``: module path -> (shape without the batch dimension, value), in the order in which modules ended."""

    values: list[Value] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    outputs: dict[str, tuple[tuple[int, ...], int | None]] = field(default_factory=dict)
    binarized: set[int] = field(default_factory=set)

    def is_binarized(self, parameter: Tensor) -> bool:
        """Whether ``bittern::binarize`` read ``parameter`` or a view of it."""
        return _storage(parameter) in self.binarized


def record(model: nn.Module, input_shape: tuple[int, ...]) -> Record:
    """Runs ``model`` once, in eval mode, on one input of zeros of ``input_shape``, e.g. (C, H, W).

    Raises:
        ValueError: the model, on the meta device, needs values of tensors, or does not take such an input.
    """
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    watch = _Watch()
    with torch.no_grad(), _evaluating(model), _hooked(model, watch):
        x = torch.zeros(1, *input_shape, device=device)
        watch.add_input(x)
        try:
            with watch:
                output = model(x)
        except Exception as error:
            if device.type != "meta":
                raise
            where = f" (in {watch.running[-1]})" if watch.running and watch.running[-1] else ""
            raise ValueError(
                f"{type(model).__name__} cannot run on the meta device on an input of shape {[1, *input_shape]}"
                f"{where}: {error}. Check the shape; if the model needs the values of tensors, build it on the CPU and "
                "call bittern.models.summary(model, input_shape)"
            ) from error
    for leaf in tree_leaves(output):
        if isinstance(leaf, Tensor) and (number := watch.number_of(leaf)) is not None:
            watch.record.values[number].is_output = True
    return watch.record


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    training = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, was_training in training.items():
            module.training = was_training


@contextmanager
def _hooked(model: nn.Module, watch: "_Watch") -> Iterator[None]:
    hooks = []
    for path, module in model.named_modules():
        hooks.append(module.register_forward_pre_hook(lambda m, x, path=path: watch.enter(path)))
        hooks.append(module.register_forward_hook(lambda m, x, y, path=path: watch.leave(path, y)))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _storage(tensor: Tensor) -> int:
    """Equal for a tensor and its views, also on the meta device, where every address is 0."""
    key: int = tensor.untyped_storage()._cdata
    return key


def _kind_of(channels: int, kernel: tuple[int, ...], groups: int) -> str:
    if groups > 1:
        return "depthwise" if groups == channels else "grouped"
    return "pointwise" if torch.Size(kernel).numel() == 1 else "conv"


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


class _Watch(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.record = Record()
        self.running: list[str] = []
        self._signs = WeakIdKeyDictionary()
        self._lost = WeakIdKeyDictionary()  # tensor -> the operator after which it was no longer signs
        self._numbers: dict[int, int] = {}  # storage -> value
        self._signs_of: dict[tuple[int, int], int] = {}  # value and how many of its elements -> their signs

    def add_input(self, x: Tensor) -> None:
        self._numbers[_storage(x)] = 0
        self.record.values.append(Value(x.numel(), FLOAT_BITS, None))

    def number_of(self, tensor: Tensor) -> int | None:
        return self._numbers.get(_storage(tensor))

    def enter(self, path: str) -> None:
        self.running.append(path)

    def leave(self, path: str, output: Any) -> None:
        self.running.pop()
        if isinstance(output, Tensor):
            self.record.outputs.pop(path, None)
            self.record.outputs[path] = (tuple(output.shape[1:]), self.number_of(output))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        before = _tensors((args, kwargs))
        reads = tuple(dict.fromkeys(n for n in map(self.number_of, before) if n is not None))
        product = self._product(func.overloadpacket, args) if reads else None
        # Asked before the call, which may change its first argument in place.
        signs = [tensor in self._signs for tensor in before]
        lost = next((self._lost[tensor] for tensor in before if tensor in self._lost), None)
        result = func(*args, **(kwargs or {}))
        after = _tensors(result)
        self._follow_signs(func.overloadpacket, before, signs, lost, after, product)
        self._add_step(func, before, after, reads, product)
        return result

    def _follow_signs(
        self,
        packet: Any,
        before: list[Tensor],
        signs: list[bool],
        lost: str | None,
        after: list[Tensor],
        product: Product | None,
    ) -> None:
        if packet is torch.ops.bittern.binarize:
            self.record.binarized.add(_storage(before[0]))
            keeps = True
        elif packet in _SCALES and before and signs[0] and self.number_of(before[0]) is None:
            keeps = len(before) < 2 or before[1].numel() in (1, before[0].shape[0])
        else:
            keeps = packet in _KEEPS_SIGNS and bool(before) and all(signs)
        reason = f"{packet.__name__} in {self._path()}" if self._path() else packet.__name__
        for tensor in after:
            self._signs.pop(tensor, None)
            if keeps and tensor.is_floating_point():
                self._signs[tensor] = True
            elif product is None and any(signs):
                self._lost[tensor] = reason
            elif product is None and lost is not None:
                self._lost[tensor] = lost

    def _add_step(
        self, func: Any, before: list[Tensor], after: list[Tensor], reads: tuple[int, ...], product: Product | None
    ) -> None:
        packet = func.overloadpacket
        storages = {_storage(tensor) for tensor in before}
        fresh = [t for t in after if _storage(t) not in storages or func._schema.is_mutable]
        if not reads:
            for tensor in fresh:  # its memory may have been that of a value
                self._numbers.pop(_storage(tensor), None)
            return
        if not fresh or packet is _aten.constant_pad_nd:  # the padding belongs to the layer that reads it
            for tensor in fresh:
                self._numbers[_storage(tensor)] = reads[0]
            return
        if packet is torch.ops.bittern.binarize:
            known = self._signs_of.get((reads[0], after[0].numel()))
            if known is not None:  # the same signs again, which the exporter packs once
                self._numbers[_storage(after[0])] = known
                return
            self._signs_of[reads[0], after[0].numel()] = len(self.record.values)
        index, writes = len(self.record.steps), []
        for tensor in fresh:
            if tensor.is_floating_point():
                writes.append(len(self.record.values))
                bits = 1 if tensor in self._signs else FLOAT_BITS
                self._numbers[_storage(tensor)] = writes[-1]
                self.record.values.append(Value(tensor.numel(), bits, index))
            else:
                self._numbers.pop(_storage(tensor), None)
        for number in reads:
            self.record.values[number].readers.append(index)
        elementwise = torch.Tag.pointwise in func.tags or packet in _ELEMENTWISE
        step = Step(packet.__name__, self._path(), reads, tuple(writes), elementwise, product)
        self.record.steps.append(step)

    def _path(self) -> str:
        return self.running[-1] if self.running else ""

    def _product(self, packet: Any, args: Any) -> Product | None:
        if packet is _aten.convolution:
            x, weight, transposed, groups = args[0], args[1], args[6], args[8]
            if transposed:
                macs = x.numel() * weight[0].numel()
            else:
                sizes = zip(x.shape[2:], weight.shape[2:], args[3], args[4], args[5], strict=True)
                out = [(n + 2 * pad - dilation * (k - 1) - 1) // stride + 1 for n, k, stride, pad, dilation in sizes]
                macs = x.shape[0] * weight.numel() * torch.Size(out).numel()
            return self._count(_kind_of(x.shape[1], weight.shape[2:], groups), x, weight, macs)
        if packet in _MATRIX_PRODUCTS:
            left, right = args[-2:]
            columns = right.shape[-1] if right.dim() > 1 else 1
            # A weight that stands on the left, as in W @ x, counts alike.
            x, weight = (right, left) if self.number_of(left) is None else (left, right)
            return self._count("linear", x, weight, left.numel() * columns)
        if packet.__name__.startswith(_ATTENTION):
            query, key, value = args[:3]
            rows = query.numel() // query.shape[-1]
            macs = rows * key.shape[-2] * (query.shape[-1] + value.shape[-1])
            return Product("linear", macs, False, False, 0)
        return None

    def _count(self, kind: str, x: Tensor, weight: Tensor, macs: int) -> Product:
        values = weight.numel() if self.number_of(weight) is None else 0
        return Product(kind, macs, x in self._signs, weight in self._signs, values, self._lost.get(x, ""))
