"""The authors' PyTorch networks: ReActNet and AdamBNN (ReActNet-A), and ReAct-ResNet-18.

| here | there |
|---|---|
| ``RSign.shift`` [C] | ``bias`` [1, C, 1, 1] of the ``LearnableBias`` in front of the sign |
| ``RPReLU.shift_in``, ``shift_out`` | ``bias`` of the ``LearnableBias`` in front of the PReLU and of that behind it |
| ``BinaryConv2d.weight`` [O, I, H, W] | ``weight`` [O, I, H, W]; in ReActNet's second step ``weights`` [O I H W, 1] |

Step 1 has real weights, step 2 binary ones; files of both have the same names and shapes, except ReActNet's own of
ReActNet-A.
"""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import count, takewhile
from typing import Any

from torch import Tensor, nn

from bittern.importers.slots import Match, Slot, match
from bittern.importers.source import Options, Source
from bittern.importers.tensor_file import TensorFile
from bittern.models import react_resnet, reactnet
from bittern.nn import RPReLU

Rows = Iterator[Slot]


def _reactnet(network: nn.Module, *, weights: str) -> Rows:
    """``weights``: the source's name for a binary convolution's weight; one called ``"weights"`` is a column."""
    assert isinstance(network, reactnet.ReActNet)
    convolution = partial(_convolution, name=weights)
    yield from _same("feature.0.conv1", "stem.0", network.stem[0])
    yield from _same("feature.0.bn1", "stem.1", network.stem[1])
    block: Any
    for index, block in enumerate(network.blocks):
        there, here = f"feature.{index + 1}", f"blocks.{index}"
        yield _bias(f"{there}.move11", f"{here}.spatial_sign.shift", block.spatial_sign.shift)
        yield convolution(f"{there}.binary_3x3", f"{here}.spatial.0", block.spatial[0])
        yield from _same(f"{there}.bn1", f"{here}.spatial.1", block.spatial[1])
        yield from _activation(f"{there}.{{}}1{{}}", f"{here}.spatial_activation", block.spatial_activation)
        yield _bias(f"{there}.move21", f"{here}.pointwise_sign.shift", block.pointwise_sign.shift)
        names = ("binary_pw", "bn2"), ("binary_pw_down1", "bn2_1"), ("binary_pw_down2", "bn2_2")
        chosen = names[:1] if len(block.pointwise) == 1 else names[1:]
        for at, ((conv, norm), pair) in enumerate(zip(chosen, block.pointwise, strict=True)):
            yield convolution(f"{there}.{conv}", f"{here}.pointwise.{at}.0", pair[0])
            yield from _same(f"{there}.{norm}", f"{here}.pointwise.{at}.1", pair[1])
        yield from _activation(f"{there}.{{}}2{{}}", f"{here}.activation", block.activation)
    yield from _same("fc", "classifier", network.classifier)


def _react_resnet(network: nn.Module) -> Rows:
    assert isinstance(network, react_resnet.ReActResNet)
    yield from _same("conv1", "stem.0", network.stem[0])
    yield from _same("bn1", "stem.1", network.stem[1])
    stage, place = 0, 0
    block: Any
    for index, block in enumerate(network.blocks):
        changes = isinstance(block.shortcut, nn.Sequential)
        stage, place = (stage + 1, 0) if changes or index == 0 else (stage, place + 1)
        there, here = f"layer{stage}.{place}", f"blocks.{index}"
        yield _bias(f"{there}.move0", f"{here}.sign.shift", block.sign.shift)
        yield _convolution(f"{there}.binary_conv", f"{here}.conv", block.conv, name="weight")
        yield from _same(f"{there}.bn1", f"{here}.norm", block.norm)
        yield _bias(f"{there}.move1", f"{here}.activation.shift_in", block.activation.shift_in)
        yield Slot(f"{there}.prelu.weight", tuple(block.activation.weight.shape), f"{here}.activation.weight")
        yield _bias(f"{there}.move2", f"{here}.activation.shift_out", block.activation.shift_out)
        if changes:
            yield from _same(f"{there}.downsample.1", f"{here}.shortcut.1", block.shortcut[1])
            yield from _same(f"{there}.downsample.2", f"{here}.shortcut.2", block.shortcut[2])
    yield from _same("fc", "classifier", network.classifier)


def _same(there: str, here: str, module: nn.Module) -> Rows:
    """All tensors of a torch layer that the source has unchanged."""
    for name, tensor in module.state_dict().items():
        yield Slot(f"{there}.{name}", tuple(tensor.shape), f"{here}.{name}")


def _bias(there: str, target: str, values: Tensor) -> Slot:
    return Slot(f"{there}.bias", (1, len(values), 1, 1), target, Tensor.flatten)


def _convolution(there: str, here: str, conv: nn.Conv2d, *, name: str) -> Slot:
    shape = tuple(conv.weight.shape)
    column = (conv.weight.numel(), 1)
    reshaped = partial(Tensor.reshape, shape=shape)
    return Slot(f"{there}.{name}", column if name == "weights" else shape, f"{here}.weight", reshaped)


def _activation(there: str, here: str, activation: RPReLU) -> Rows:
    """``there``: a pattern such as ``"feature.1.{}2{}"`` that takes ``move`` and 2 or 3, or ``prelu`` and nothing."""
    yield _bias(there.format("move", 2), f"{here}.shift_in", activation.shift_in)
    yield Slot(f"{there.format('prelu', '')}.weight", tuple(activation.weight.shape), f"{here}.weight")
    yield _bias(there.format("move", 3), f"{here}.shift_out", activation.shift_out)


def _reactnet_options(file: TensorFile) -> Options:
    shapes = {name: tensor.shape for name, tensor in file.tensors.items()}
    blocks = takewhile(lambda name: name in shapes, (f"feature.{index}.move22.bias" for index in count(1)))
    return {"widths": (shapes["feature.0.conv1.weight"][0], *(shapes[name][1] for name in blocks))}


def _react_resnet_options(file: TensorFile) -> Options:
    shapes = {name: tensor.shape for name, tensor in file.tensors.items()}
    widths, depths = [], []
    for stage in takewhile(lambda n: f"layer{n}.0.move1.bias" in shapes, count(1)):
        widths.append(shapes[f"layer{stage}.0.move1.bias"][1])
        places = takewhile(lambda name: name in shapes, (f"layer{stage}.{place}.move1.bias" for place in count()))
        depths.append(len(list(places)))
    return {"widths": tuple(widths), "depths": tuple(depths)}


def _row(
    name: str, model: str, step: int, options: Callable[[TensorFile], Options], rows: Callable[[nn.Module], Rows]
) -> Source:
    precision = {1: "binary_activations", 2: "binary"}[step]

    def all_options(file: TensorFile) -> Options:
        return {"num_classes": file.tensors["fc.weight"].shape[0], **options(file), "precision": precision}

    def all_match(file: TensorFile, network: nn.Module) -> Match:
        return match({slot.source: slot for slot in rows(network)}, file.tensors)

    return Source(name, model, all_options, all_match, step=step, zero_stays=True)


_whole, _column = partial(_reactnet, weights="weight"), partial(_reactnet, weights="weights")

SOURCES: tuple[Source, ...] = (
    _row("ReActNet or AdamBNN, step 1", "reactnet-a", 1, _reactnet_options, _whole),
    _row("AdamBNN, step 2", "reactnet-a", 2, _reactnet_options, _whole),
    _row("ReActNet, step 2", "reactnet-a", 2, _reactnet_options, _column),
    _row("ReActNet (ResNet-18), step 1", "react-resnet-18", 1, _react_resnet_options, _react_resnet),
    _row("ReActNet (ResNet-18), step 2", "react-resnet-18", 2, _react_resnet_options, _react_resnet),
)
