"""What a network costs, layer by layer: parameters per bit width, multiply-accumulates per precision, memory.

One forward pass is watched operator by operator. A multiply-accumulate is binary where both of its operands came out
of ``bittern::binarize``, whatever the classes of the layers are.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

_FLOAT_BITS = 32
_aten = torch.ops.aten
# Signs stay signs through these.
_KEEPS_SIGNS = {
    _aten.alias, _aten.cat, _aten.constant_pad_nd, _aten.clone, _aten.detach, _aten.expand, _aten.permute,
    _aten.max_pool2d_with_indices, _aten.select, _aten.slice, _aten.split, _aten.squeeze, _aten.t, _aten.transpose,
    _aten._to_copy, _aten.unsqueeze, _aten.view, _aten._unsafe_view,
}  # fmt: skip


@dataclass(frozen=True)
class LayerSummary:
    """A module that owns parameters or multiplies.

    Args:
        input_bits: width of the activations that are multiplied; None where nothing is.
        output_shape: of one image, without the batch dimension; None for a module that did not run.
        parameters: bit width -> how many; 1 bit for those that are binarized before use.
    """

    path: str
    kind: str
    input_bits: int | None
    output_shape: tuple[int, ...] | None
    parameters: Mapping[int, int]
    binary_macs: int
    float_macs: int

    @property
    def bytes(self) -> float:
        """Size of the parameters at their bit widths."""
        return sum(bits * count for bits, count in self.parameters.items()) / 8


@dataclass(frozen=True)
class ModelSummary:
    """The layers in the order of execution, and their sums. Buffers, such as BatchNorm's statistics, do not count."""

    input_shape: tuple[int, ...]
    layers: tuple[LayerSummary, ...]

    @property
    def parameters(self) -> dict[int, int]:
        """Bit width -> number of parameters."""
        total: Counter[int] = Counter()
        for layer in self.layers:
            total.update(layer.parameters)
        return dict(sorted(total.items()))

    @property
    def bytes(self) -> float:
        return sum(layer.bytes for layer in self.layers)

    @property
    def float_bytes(self) -> float:
        """Size if every parameter were a float32."""
        return sum(self.parameters.values()) * _FLOAT_BITS / 8

    @property
    def binary_macs(self) -> int:
        return sum(layer.binary_macs for layer in self.layers)

    @property
    def float_macs(self) -> int:
        return sum(layer.float_macs for layer in self.layers)

    def to_json(self) -> dict[str, Any]:
        macs = self.binary_macs + self.float_macs
        return {
            "input_shape": list(self.input_shape),
            "layers": [{**asdict(layer), "bytes": layer.bytes} for layer in self.layers],
            "parameters": self.parameters,
            "bytes": self.bytes,
            "float_bytes": self.float_bytes,
            "binary_macs": self.binary_macs,
            "float_macs": self.float_macs,
            "binary_mac_share": self.binary_macs / macs if macs else 0.0,
        }


def _storage(tensor: Tensor) -> int:
    """Equal for a tensor and its views, also on the meta device, where every address is 0."""
    key: int = tensor.untyped_storage()._cdata
    return key


@dataclass
class _Seen:
    """What was seen of one module."""

    output_shape: tuple[int, ...] | None = None
    input_bits: int | None = None
    macs: Counter[bool] = field(default_factory=Counter)  # is binary -> how many


class _Watch(TorchDispatchMode):
    """Follows signs through operators and counts multiply-accumulates for the module that is running."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen: dict[str, _Seen] = {}
        self.binarized_storage: set[int] = set()
        self.running: list[str] = []
        self._signs = WeakIdKeyDictionary()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        tensors = [leaf for leaf in tree_leaves(args) if isinstance(leaf, Tensor)]
        if func is torch.ops.bittern.binarize.default:
            self.binarized_storage.add(_storage(args[0]))
            self._signs[result] = True
        elif func.overloadpacket in _KEEPS_SIGNS and tensors and all(t in self._signs for t in tensors):
            for leaf in tree_leaves(result):
                if isinstance(leaf, Tensor):
                    self._signs[leaf] = True
        elif func is _aten.convolution.default:
            self._count(args[0], args[1], result.numel() * args[1][0].numel())
        elif func in (_aten.addmm.default, _aten.mm.default, _aten.bmm.default):
            left, right = args[-2:]
            self._count(left, right, result.numel() * left.shape[-1])
        return result

    def _count(self, left: Tensor, right: Tensor, macs: int) -> None:
        seen = self.seen.setdefault(self.running[-1], _Seen())
        seen.input_bits = 1 if left in self._signs else _FLOAT_BITS
        seen.macs[left in self._signs and right in self._signs] += macs

    def enter(self, path: str) -> None:
        self.running.append(path)

    def leave(self, path: str, output: Any) -> None:
        self.running.pop()
        shape = tuple(output.shape[1:]) if isinstance(output, Tensor) else None
        self.seen.setdefault(path, _Seen()).output_shape = shape


@torch.no_grad()
def summary(model: nn.Module, input_shape: tuple[int, ...]) -> ModelSummary:
    """Runs ``model`` once, in eval mode, on one input of zeros of ``input_shape``, e.g. (C, H, W), and counts."""
    watch = _Watch()
    hooks = []
    for path, module in model.named_modules():
        hooks.append(module.register_forward_pre_hook(lambda m, x, path=path: watch.enter(path)))
        hooks.append(module.register_forward_hook(lambda m, x, y, path=path: watch.leave(path, y)))
    training = {module: module.training for module in model.modules()}
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    try:
        with watch:
            model.eval()(torch.zeros(1, *input_shape, device=device))
    finally:
        for hook in hooks:
            hook.remove()
        for module, was_training in training.items():
            module.training = was_training
    modules = dict(model.named_modules())
    paths = [*watch.seen, *(path for path in modules if path not in watch.seen)]
    layers = (_layer(path, modules[path], watch) for path in paths)
    return ModelSummary(tuple(input_shape), tuple(x for x in layers if x.parameters or x.binary_macs or x.float_macs))


def _layer(path: str, module: nn.Module, watch: _Watch) -> LayerSummary:
    seen = watch.seen.get(path, _Seen())
    parameters: Counter[int] = Counter()
    for parameter in module.parameters(recurse=False):
        parameters[1 if _storage(parameter) in watch.binarized_storage else _FLOAT_BITS] += parameter.numel()
    return LayerSummary(
        path,
        type(module).__name__,
        seen.input_bits,
        seen.output_shape,
        dict(sorted(parameters.items())),
        binary_macs=seen.macs[True],
        float_macs=seen.macs[False],
    )
