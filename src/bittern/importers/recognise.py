"""Which source and which model a checkpoint is from: every known source is tried on its names and shapes."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from bittern.importers import larq, official
from bittern.importers.errors import CheckpointError
from bittern.importers.slots import Match
from bittern.importers.source import CHANNELS, Options, Source, build, unusual
from bittern.importers.tensor_file import TensorFile
from bittern.models import get_model

SOURCES: tuple[Source, ...] = (*larq.SOURCES, *official.SOURCES)
"""Every kind of checkpoint that can be imported."""


@dataclass(frozen=True)
class Candidate:
    """A source tried on a file; ``odd`` counts the ``options`` of ``create`` that are not the model's defaults."""

    source: Source
    options: Options
    network: nn.Module
    match: Match
    odd: int


def recognise(
    file: TensorFile, what: str, *, model: str | None = None, step: int | None = None, image_size: int | None = None
) -> Candidate:
    """The one source that fits.

    Args:
        what: names the file in messages.
        model: our model whose weights the file must hold.
        step: 1 or 2 of two-step training, where names and shapes do not tell.
        image_size: of the network; files do not tell it.

    Raises:
        CheckpointError: no source fits, or none of ``model``, with the differences; or several fit, with the option
            that decides.
        ValueError: an unknown model.
    """
    if model is not None:
        get_model(model)
        rows = [row for row in SOURCES if row.model == model]
        if not rows:
            names = ", ".join(sorted({row.model for row in SOURCES}))
            raise CheckpointError(f"no published checkpoints of {model!r} are known; known are those of {names}")
    every = [_try(row, file, image_size) for row in SOURCES]
    fitting = [candidate for candidate in every if candidate is not None and not candidate.match.differences]
    # A file of another published model is not one of this model with unusual widths.
    min_odd = min((candidate.odd for candidate in fitting), default=0)
    best = [candidate for candidate in fitting if candidate.odd == min_odd]
    named = [candidate for candidate in best if model in (None, candidate.source.model)]
    if not named:
        raise CheckpointError(_refusal(file, what, model, best, image_size))
    chosen = [candidate for candidate in named if step in (None, candidate.source.step)]
    if not chosen:
        raise CheckpointError(f"{what} is from {named[0].source.name}: leave --step {step} out")
    return _only(chosen, what)


def _try(row: Source, file: TensorFile, image_size: int | None) -> Candidate | None:
    """None if no network of the row's kind has the file's shapes."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's, about layers without weights
            return _candidate(row, file, row.options(file), image_size)
    except (LookupError, ValueError):  # names and shapes that are missing, or that make no network
        return None


def _candidate(row: Source, file: TensorFile, read: Options, image_size: int | None) -> Candidate:
    info = get_model(row.model)
    odd = unusual(row.model, {key: value for key, value in read.items() if key not in _SHAPE})
    options = {
        "num_classes": read.get("num_classes", info.num_classes),
        "in_channels": CHANNELS,
        "image_size": image_size or info.image_size,
        "precision": read.get("precision", "binary"),
        **odd,
    }
    network = build(row.model, options)
    return Candidate(row, options, network, row.match(file, network), len(odd))


_SHAPE = ("num_classes", "precision")


def _only(candidates: Sequence[Candidate], what: str) -> Candidate:
    if len({repr(candidate.network) for candidate in candidates}) == 1:
        return candidates[0]  # one family, whose members differ in their published widths only
    models = sorted({candidate.source.model for candidate in candidates})
    if len(models) > 1:
        raise CheckpointError(f"{what} has the tensors of {_either(models)}: choose with --model")
    sources = [candidate.source.name for candidate in candidates]
    raise CheckpointError(
        f"{what} has the tensors of {_either(sources)}, which have the same names: pass --step 1 if its binary layers "
        "were trained with real weights, --step 2 if with binary weights"
    )


def _refusal(
    file: TensorFile, what: str, model: str | None, fitting: Sequence[Candidate], image_size: int | None
) -> str:
    """Why nothing fits: how the nearest source differs, and which other model fits."""
    rows = [row for row in SOURCES if model in (None, row.model)]
    # With the options that the shapes tell; where they make no sense, with the published ones.
    tried = [candidate for row in rows if (candidate := _try(row, file, image_size)) is not None]
    if model is not None or not tried:
        tried += [_candidate(row, file, {}, image_size) for row in rows]
    wrong = [candidate for candidate in tried if candidate.match.differences]
    nearest = min(wrong, key=lambda candidate: (len(candidate.match.differences), candidate.odd))
    name, differences = nearest.source.model, nearest.match.differences
    if model is None and len(nearest.match.pairs) < len(file.tensors) / 2:
        first = ", ".join(f"{name} {tensor.shape}" for name, tensor in list(file.tensors.items())[:3])
        known = ", ".join(sorted({row.model for row in SOURCES}))
        return f"{what} is of no known source: its {len(file.tensors)} tensors begin with {first}. Known are {known}"
    others = sorted({candidate.source.model for candidate in fitting})
    hint = f" It is a checkpoint of {_either(others)}." if others else ""
    size = f" (for images of {nearest.options['image_size']} pixels a side; --image-size sets another size)"
    return f"{what} is no checkpoint of {name}{size}.{hint} {differences}"


def _either(names: Sequence[Any]) -> str:
    return " and of ".join(dict.fromkeys(names))
