"""The Keras weights of each of our modules, in Keras' layouts.

| here | Keras |
|---|---|
| convolution [O, I, H, W] | ``kernel`` [H, W, I, O]; a layer for each group |
| depthwise convolution [C, 1, H, W] | ``depthwise_kernel`` [H, W, C, 1] |
| linear [O, I] | ``kernel`` [I, O] |
| BatchNorm ``weight``, ``bias`` | ``gamma``, ``beta`` |
| BatchNorm ``running_mean``, ``running_var`` | ``moving_mean``, ``moving_variance`` |
| PReLU ``weight`` [C] | ``alpha`` [1, 1, C] |
| FactoredScale ``row``, ``column``, ``channel`` | ``scale_h`` [H, 1, 1], ``scale_w`` [1, W, 1], ``scale_c`` [1, 1, C] |
"""

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from bittern.importers.slots import Slot
from bittern.models.quicknet import Blur
from bittern.nn import FactoredScale

Layer = tuple[Slot, ...]
"""The weights of one Keras layer; ``Slot.source`` is their name in the layer."""


def layers_of(path: str, module: nn.Module, *, flattened: int = 0, clip: float | None = None) -> list[Layer]:
    """The Keras layers that hold the weights of ``module`` at ``path``; none if it has no weights of its own.

    Args:
        flattened: channels of the image that the source flattens, in the order (H, W, C), before this layer; else 0.
        clip: bound to which the source clips the kernel before it computes the scale.
    """
    match module:
        case Blur():
            channels = module.kernel.shape[0]
            return [(Slot("depthwise_kernel", (3, 3, channels, 1), f"{path}.kernel", _depthwise),)]
        case nn.Conv2d():
            return _convolution(path, module, flattened, clip)
        case nn.Linear():
            rows = partial(_rows, channels=flattened) if flattened else _transpose
            kernel = Slot("kernel", (module.in_features, module.out_features), f"{path}.weight", rows)
            return [(kernel, *_bias(path, module))]
        case _BatchNorm():
            return [_norm(path, module)] if module.num_features else []
        case nn.PReLU():
            return [(Slot("alpha", (1, 1, module.num_parameters), f"{path}.weight", Tensor.flatten),)]
        case FactoredScale():
            height, width, channels = len(module.row), len(module.column), len(module.channel)
            return [
                (
                    Slot("scale_h", (height, 1, 1), f"{path}.row", Tensor.flatten),
                    Slot("scale_w", (1, width, 1), f"{path}.column", Tensor.flatten),
                    Slot("scale_c", (1, 1, channels), f"{path}.channel", Tensor.flatten),
                )
            ]
    return []


def _convolution(path: str, conv: nn.Conv2d, flattened: int, clip: float | None) -> list[Layer]:
    inputs, outputs, groups = conv.in_channels, conv.out_channels, conv.groups
    height, width = conv.kernel_size
    target = f"{path}.weight"
    if groups == inputs > 1:
        shape = (height, width, inputs, outputs // inputs)
        return [(Slot("depthwise_kernel", shape, target, _depthwise), *_bias(path, conv))]
    if flattened:
        shape = (1, 1, height * width * inputs, outputs)
        return [(Slot("kernel", shape, target, partial(_unflatten, size=(height, width))), *_bias(path, conv))]
    shape = (height, width, inputs // groups, outputs // groups)
    convert: Callable[[Tensor], Tensor] = _kernel if clip is None else partial(_clipped_kernel, clip=clip)
    parts = [Slot("kernel", shape, target, convert, group) for group in range(groups)]
    assert groups == 1 or conv.bias is None, f"{path}: no source has groups with a bias"
    return [(part, *_bias(path, conv)) for part in parts]


def _bias(path: str, module: nn.Conv2d | nn.Linear) -> Layer:
    return () if module.bias is None else (Slot("bias", tuple(module.bias.shape), f"{path}.bias"),)


def _norm(path: str, norm: _BatchNorm) -> Layer:
    shape = (norm.num_features,)
    names = {"moving_mean": "running_mean", "moving_variance": "running_var"}
    if norm.bias is not None:
        names = {"beta": "bias", **names}
    if norm.weight is not None:
        names = {"gamma": "weight", **names}
    return tuple(Slot(source, shape, f"{path}.{ours}") for source, ours in names.items())


def _kernel(w: Tensor) -> Tensor:
    return w.permute(3, 2, 0, 1)


def _clipped_kernel(w: Tensor, clip: float) -> Tensor:
    return _kernel(w.clamp(-clip, clip))


def _depthwise(w: Tensor) -> Tensor:
    return w.permute(2, 3, 0, 1).flatten(0, 1)[:, None]


def _unflatten(w: Tensor, size: tuple[int, int]) -> Tensor:
    return _kernel(w.reshape(*size, -1, w.shape[3]))


def _transpose(w: Tensor) -> Tensor:
    return w.T


def _rows(w: Tensor, channels: int) -> Tensor:
    """Rows in (H, W, C) order -> columns in (C, H, W) order."""
    return w.reshape(-1, channels, w.shape[1]).permute(2, 1, 0).flatten(1)
