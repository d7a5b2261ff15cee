"""Checkpoints to resume from: safetensors and JSON, no pickle.

``checkpoint.json`` names its tensor file, and holds the SHA-256 of that file and of the state beside it. It is written
last and replaced by a rename: a process that dies at any moment leaves either the previous checkpoint or the new one.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from bittern._fields import Fields, parse_json
from bittern._files import open_file
from bittern.train.atomic import write_atomically
from bittern.train.errors import RunError

FORMAT = 4
_INDEX = "checkpoint.json"
_TENSORS = "state-{step:08d}-{digest:.8}.safetensors"
"""The digest keeps two checkpoints of one step apart: at the end of a stage, and at the start of the next."""


@dataclass(frozen=True)
class Checkpoint:
    """``tensors`` by flat name, and ``state``, everything else, as JSON holds it."""

    tensors: dict[str, Tensor]
    state: dict[str, Any]

    def under(self, prefix: str) -> dict[str, Tensor]:
        """The tensors called ``<prefix>.<name>``, by name."""
        start = prefix + "."
        return {name.removeprefix(start): t for name, t in self.tensors.items() if name.startswith(start)}


def exists(folder: Path) -> bool:
    return (folder / _INDEX).is_file()


def save(folder: Path, checkpoint: Checkpoint, step: int) -> None:
    """Makes ``checkpoint`` the one in ``folder``; ``step`` counts the optimizer's steps since the start.

    Raises:
        TrainingError: the disk is full or not writable. The checkpoint before is intact.
    """
    content = save_tensors({name: t.detach().cpu().contiguous() for name, t in checkpoint.tensors.items()})
    digest = hashlib.sha256(content).hexdigest()
    name = _TENSORS.format(step=step, digest=digest)
    index = {
        "format": FORMAT,
        "tensors": name,
        "sha256": digest,
        "state_sha256": digest_of(checkpoint.state),
        "state": checkpoint.state,
    }
    for partial in folder.glob(".*.tmp"):  # of a process that was killed while writing
        partial.unlink()
    write_atomically(folder / name, content)
    write_atomically(folder / _INDEX, json.dumps(index, indent=1).encode())
    for old in folder.glob("*.safetensors"):
        if old.name != name:
            old.unlink()


def load(folder: Path) -> Checkpoint:
    """The checkpoint in ``folder``; RunError if it is damaged or of another format."""
    name, digest, state = _read_index(folder / _INDEX)
    path = folder / Path(name).name
    try:
        with open_file(path) as file:
            content = file.read()
        if hashlib.sha256(content).hexdigest() != digest:
            raise RunError(
                f"{path} is damaged: its SHA-256 is not the one in {_INDEX}; start a new run in another folder"
            )
        return Checkpoint(load_tensors(content), state)
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path} cannot be read ({error}); start a new run in another folder") from error


def describe(folder: Path) -> str:
    """How far the run was, e.g. ``"step 120 (step1: 3 epochs and 12 batches done)"``."""
    try:
        state = Fields(_read_index(folder / _INDEX)[-1], "state")
        done = f"{state.integer('epoch')} epochs and {state.integer('batch')} batches done"
        return f"step {state.integer('step')} ({state.text('stage_name')}: {done})"
    except ValueError:
        return "an unknown step"


def _read_index(path: Path) -> tuple[str, str, dict[str, Any]]:
    """Name and SHA-256 of the tensor file, and the state; RunError if they are not those that ``save`` wrote."""
    try:
        with open_file(path) as file:
            index = parse_json(file.read(), str(path))
        version = index.integer("format")
    except (OSError, ValueError) as error:
        raise RunError(f"{path} is not a checkpoint of Bittern ({error}); start a new run in another folder") from error
    if version != FORMAT:
        raise RunError(
            f"{path} has format {version}, this version of Bittern reads format {FORMAT}; resume with the version that "
            "wrote it, or start a new run in another folder"
        )
    try:
        name, digest, state = index.text("tensors"), index.text("sha256"), index.mapping("state")
        if index.text("state_sha256") != digest_of(state):
            raise ValueError("the SHA-256 of its state does not fit")
    except ValueError as error:
        raise RunError(f"{path} is damaged or was edited ({error}); start a new run in another folder") from error
    return name, digest, state


def digest_of(state: dict[str, Any]) -> str:
    """SHA-256 of ``state`` as JSON, in hex."""
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()
