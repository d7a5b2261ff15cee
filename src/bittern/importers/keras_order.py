"""Keras' order of a network's layers, and a file's tensors matched by it.

Keras loads weights by the order of layers and ignores their names, which count up in the process that built the
network; so does this. Where a file does not fit, the longest common runs of layers are matched, so that a missing layer
is reported as one missing layer and not as a misshapen rest.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from torch import nn

from bittern.importers.keras_layers import Layer, layers_of
from bittern.importers.slots import Differences, Match, Shape, Slot
from bittern.importers.tensor_file import TensorFile
from bittern.models import bi_real_net, real_to_binary
from bittern.nn import Gate


@dataclass(frozen=True)
class Order:
    """How a Keras network differs from a walk through our modules.

    Args:
        flattened: modules before which the source flattens an image.
        clip: the bound to which the source clips the kernels of layers with a scale.
    """

    flattened: tuple[str, ...] = ()
    clip: float | None = None

    def match(self, file: TensorFile, network: nn.Module) -> Match:
        """Pairs the layers of ``file`` that have weights with those of ``network``."""
        expected = list(self._layers(network))
        found = [(name, weights) for name, weights in file.layers if weights]
        shapes = [{weight: file.tensors[f"{layer}/{weight}"].shape for weight in weights} for layer, weights in found]
        pairs: list[tuple[Slot, str]] = []
        missing: list[str] = []
        surplus: list[str] = []
        misshapen: list[str] = []
        for layer, index in _aligned([{slot.source: slot.shape for slot in layer} for layer in expected], shapes):
            slots = {slot.source: slot for slot in (expected[layer] if layer is not None else ())}
            name, here = (found[index][0], shapes[index]) if index is not None else ("", {})
            for source, slot in slots.items():
                if source not in here:
                    missing.append(f"{source} {slot.shape} of {slot.target.rpartition('.')[0]}")
                elif here[source] != slot.shape:
                    misshapen.append(f"{name}/{source} {here[source]}, expected {slot.shape}")
                else:
                    pairs.append((slot, f"{name}/{source}"))
            surplus += [f"{name}/{weight} {shape}" for weight, shape in here.items() if weight not in slots]
        return Match(tuple(pairs), Differences(tuple(missing), tuple(surplus), tuple(misshapen)))

    def _layers(self, network: nn.Module) -> Iterator[Layer]:
        channels = 0
        for path, module in _walk("", network):
            channels = module.out_channels if isinstance(module, nn.Conv2d) else channels
            inputs = module.in_channels if isinstance(module, nn.Conv2d) else channels
            clip = self.clip if getattr(module, "scale_kind", "none") != "none" else None
            yield from layers_of(path, module, flattened=inputs if path in self.flattened else 0, clip=clip)


def _walk(path: str, module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Names and modules without children, in the order in which Keras lists their layers.

    Keras interleaves two branches that meet, layer by layer, starting with the longer one.
    """
    match module:
        case bi_real_net.BiRealBlock(shortcut=nn.Sequential() as shortcut):
            children = [module.conv, shortcut[1], module.norm, shortcut[2]]
        case real_to_binary.RealToBinaryBlock(shortcut=nn.Sequential() as shortcut):
            tail = [shortcut[1], module.activation, shortcut[2]]
            gated = isinstance(module.scale, Gate)
            head = [module.norm, module.scale, module.conv] if gated else [module.norm, module.conv, module.scale]
            children = [*head, *tail]
        case real_to_binary.RealToBinaryBlock(scale=Gate()):
            children = [module.norm, module.scale, module.conv, module.activation]
        case _:
            children = list(module.children())
    if not children:
        yield path, module
    names = {id(child): name for name, child in module.named_modules()}
    for child in children:
        yield from _walk(f"{path}.{names[id(child)]}".removeprefix("."), child)


def _aligned(
    expected: Sequence[dict[str, Shape]], found: Sequence[dict[str, Shape]]
) -> Iterator[tuple[int | None, int | None]]:
    """Pairs of indices, None where one side lacks a counterpart. Both sides appear completely and in their order."""
    exact = SequenceMatcher(None, [_key(layer) for layer in expected], [_key(layer) for layer in found], autojunk=False)
    for _, i, i_end, j, j_end in exact.get_opcodes():
        # Between equal runs: layers whose weights have the same names are taken as the same layer, misshapen; so are
        # equally long runs of others.
        a, b = [sorted(layer) for layer in expected[i:i_end]], [sorted(layer) for layer in found[j:j_end]]
        kinds = SequenceMatcher(None, [tuple(names) for names in a], [tuple(names) for names in b], autojunk=False)
        for kind, p, p_end, q, q_end in kinds.get_opcodes():
            if kind == "equal" or (kind == "replace" and p_end - p == q_end - q):
                yield from zip(range(i + p, i + p_end), range(j + q, j + q_end), strict=True)
            else:
                yield from ((index, None) for index in range(i + p, i + p_end))
                yield from ((None, index) for index in range(j + q, j + q_end))


def _key(layer: dict[str, Shape]) -> tuple[tuple[str, Shape], ...]:
    return tuple(sorted(layer.items()))
