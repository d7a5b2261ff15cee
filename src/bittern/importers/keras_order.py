"""Keras' order of a network's layers, and a file's tensors paired by it.

Keras loads weights by the order of layers, whatever these are called: names count up in the process that made the
network. So does this. Where a file is not a network's, the longest common runs of layers are paired, so that one layer
too few is one layer missing and not all that follow misshapen.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from torch import nn

from bittern.importers.keras_layers import Layer, layers_of
from bittern.importers.slots import Differences, Match, Shape, Slot
from bittern.importers.stored import Checkpoint
from bittern.models import bi_real_net, real_to_binary
from bittern.nn import Gate


@dataclass(frozen=True)
class Order:
    """How a Keras network differs from a walk through our modules.

    Args:
        flattened: modules in front of which the source flattens an image.
        clip: bound of the kernels of layers with a scale, which are clipped first.
    """

    flattened: tuple[str, ...] = ()
    clip: float | None = None

    def match(self, file: Checkpoint, network: nn.Module) -> Match:
        """Pairs the layers of ``file`` that have weights with those of ``network``."""
        wanted = list(self._layers(network))
        found = [(name, weights) for name, weights in file.layers if weights]
        shapes = [{weight: file.tensors[f"{layer}/{weight}"].shape for weight in weights} for layer, weights in found]
        pairs: list[tuple[Slot, str]] = []
        missing: list[str] = []
        surplus: list[str] = []
        misshapen: list[str] = []
        for layer, index in _aligned([{slot.source: slot.shape for slot in layer} for layer in wanted], shapes):
            slots = {slot.source: slot for slot in (wanted[layer] if layer is not None else ())}
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

    Two branches that meet are listed side by side: the longer one first, from its beginning.
    """
    match module:
        case bi_real_net.Block(shortcut=nn.Sequential() as shortcut):
            children = [module.conv, shortcut[1], module.norm, shortcut[2]]
        case real_to_binary.Block(shortcut=nn.Sequential() as shortcut):
            tail = [shortcut[1], module.activation, shortcut[2]]
            gated = isinstance(module.scale, Gate)
            head = [module.norm, module.scale, module.conv] if gated else [module.norm, module.conv, module.scale]
            children = [*head, *tail]
        case real_to_binary.Block(scale=Gate()):
            children = [module.norm, module.scale, module.conv, module.activation]
        case _:
            children = list(module.children())
    if not children:
        yield path, module
    names = {id(child): name for name, child in module.named_modules()}
    for child in children:
        yield from _walk(f"{path}.{names[id(child)]}".removeprefix("."), child)


def _aligned(
    wanted: Sequence[dict[str, Shape]], found: Sequence[dict[str, Shape]]
) -> Iterator[tuple[int | None, int | None]]:
    """Pairs of indices; None where one side has nothing for the other. Both sides are all there, in their order."""
    exact = SequenceMatcher(None, [_key(layer) for layer in wanted], [_key(layer) for layer in found], autojunk=False)
    for _, i, i_end, j, j_end in exact.get_opcodes():
        # Between equal runs: layers with the same names of weights are the same, misshapen; so are as many others.
        a, b = [sorted(layer) for layer in wanted[i:i_end]], [sorted(layer) for layer in found[j:j_end]]
        kinds = SequenceMatcher(None, [tuple(names) for names in a], [tuple(names) for names in b], autojunk=False)
        for kind, p, p_end, q, q_end in kinds.get_opcodes():
            if kind == "equal" or (kind == "replace" and p_end - p == q_end - q):
                yield from zip(range(i + p, i + p_end), range(j + q, j + q_end), strict=True)
            else:
                yield from ((index, None) for index in range(i + p, i + p_end))
                yield from ((None, index) for index in range(j + q, j + q_end))


def _key(layer: dict[str, Shape]) -> tuple[tuple[str, Shape], ...]:
    return tuple(sorted(layer.items()))
