"""The tensors that a network needs, those that a file has, and the rule that each is used exactly once."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bittern._text import listed
from bittern.importers.errors import CheckpointError
from bittern.importers.tensor_file import LazyTensor

Shape = tuple[int, ...]
_COUNTER, _VARIANCE = "num_batches_tracked", "running_var"


def unchanged(tensor: Tensor) -> Tensor:
    return tensor


@dataclass(frozen=True)
class Slot:
    """The source's tensor for ``target``, a name in our network.

    Args:
        source: its name there; only the last part of it where tensors are matched by order.
        shape: in the source's layout.
        convert: from that layout to ours.
        part: position of this tensor among several that are joined along the first dimension to make one of ours.
    """

    source: str
    shape: Shape
    target: str
    convert: Callable[[Tensor], Tensor] = unchanged
    part: int = 0


@dataclass(frozen=True)
class Differences:
    """Names and shapes in which a file differs from a network, as the file calls them where it has them."""

    missing: tuple[str, ...] = ()
    surplus: tuple[str, ...] = ()
    misshapen: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.missing) + len(self.surplus) + len(self.misshapen)

    def __str__(self) -> str:
        groups = (("missing", self.missing), ("surplus", self.surplus), ("misshapen", self.misshapen))
        return "; ".join(f"{what} ({len(names)}): {listed(names)}" for what, names in groups if names)


@dataclass(frozen=True)
class Match:
    """``pairs``: slots and the names of the file's tensors for them; complete if there are no differences."""

    pairs: tuple[tuple[Slot, str], ...]
    differences: Differences


def match(slots: Mapping[str, Slot], found: Mapping[str, LazyTensor]) -> Match:
    """Matches by name. Missing tensors are listed with their names in the source and in our network."""
    shared = [name for name in slots if name in found]
    right = [name for name in shared if slots[name].shape == found[name].shape]
    return Match(
        tuple((slots[name], name) for name in right),
        Differences(
            tuple(f"{name} {slot.shape}, for {slot.target}" for name, slot in slots.items() if name not in found),
            tuple(f"{name} {tensor.shape}" for name, tensor in found.items() if name not in slots),
            tuple(
                f"{name} {found[name].shape}, expected {slots[name].shape}" for name in shared if name not in set(right)
            ),
        ),
    )


def fill(model: nn.Module, pairs: Iterable[tuple[Slot, str]], found: Mapping[str, LazyTensor]) -> None:
    """Loads the numbers of ``found`` into ``model``, built on the meta device, as float32; its whole state is filled.

    ``num_batches_tracked`` is 0 where the source, such as Keras, does not count batches.

    Raises:
        CheckpointError: a tensor does not hold floats, or holds numbers that are not finite, or variances below 0.
    """
    parts: dict[str, dict[int, Tensor]] = {}
    for slot, name in pairs:
        places = parts.setdefault(slot.target, {})
        assert slot.part not in places, f"{slot.target} is filled twice"
        values = _numbers(found[name].read(), name, counter=slot.target.endswith(_COUNTER))
        if slot.target.endswith(_VARIANCE) and bool((values < 0).any()):
            raise CheckpointError(f"{name} holds variances below 0, such as {values.min():g}: the file is damaged")
        places[slot.part] = slot.convert(values)
    state = {name: torch.zeros((), dtype=torch.long) for name in model.state_dict() if name.endswith(_COUNTER)}
    for target, places in parts.items():
        parts_of = [places[part] for part in sorted(places)]
        state[target] = (parts_of[0] if len(parts_of) == 1 else torch.cat(parts_of)).contiguous()
    model.load_state_dict(state, assign=True)  # strict: it raises if anything is left out or of another shape


def _numbers(value: Tensor, name: str, *, counter: bool) -> Tensor:
    if value.is_floating_point() == counter:
        raise CheckpointError(f"{name} is {value.dtype}, expected {'an integer' if counter else 'floats'}")
    if counter:
        return value.long()
    value = value.to(torch.float32, copy=True)
    finite = value.isfinite()
    if not bool(finite.all()):
        raise CheckpointError(f"{name} holds {int((~finite).sum())} numbers that are not finite: the file is damaged")
    return value
