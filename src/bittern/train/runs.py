"""A run folder: ``model.safetensors`` and ``model.json``, all that is needed to build the network and to feed it.

`bittern train` writes one, and `bittern import` makes one of weights that others trained.
"""

import hashlib
import json
import math
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from itertools import count
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

import bittern
from bittern._fields import Fields, parse_json, short
from bittern._files import open_file
from bittern._run_files import CHECKPOINT_FOLDER, MODEL_FILE, MODEL_INFO_FILE
from bittern._text import short_text
from bittern.data import Preprocessing
from bittern.models import create, list_models
from bittern.models.graph import GraphNetwork, LayerGraph
from bittern.train import checkpoint
from bittern.train.atomic import write_atomically
from bittern.train.errors import RunError
from bittern.train.weights import mismatches, single

FORMAT = 1


@dataclass(frozen=True)
class Origin:
    """Where imported weights come from.

    ``source``: who published them, such as ``"Larq Zoo"``. ``file``: the file's name. ``sha256``: of its bytes, in hex.
    """

    source: str
    file: str
    sha256: str

    @staticmethod
    def from_json(fields: Fields) -> "Origin":
        return Origin(fields.text("source"), fields.text("file"), fields.text("sha256"))


@dataclass(frozen=True)
class RunInfo:
    """What ``model.json`` says. ``dataset``, ``recipe`` and ``seed`` are None for weights that Bittern did not train.

    Args:
        options: every keyword of ``bittern.models.create``, ``precision`` included; of a network with ``graph``, its
            ``num_classes`` if it gives rows of logits.
        input_shape: (C, H, W).
        versions: of Bittern, PyTorch and Python.
        class_names: None if they are not known.
        settings: the recipe's settings as trained, overrides included (``bittern.train.settings_of``).
        metrics: measured on the final weights; ``test_accuracy`` is a share, 0..1. Empty if nothing was measured.
        origin: None for weights that Bittern trained.
        graph: the layers of a network that is none of ``bittern.models``, as ``LayerGraph.to_json`` gives them;
            ``model`` is then its name in the source.
    """

    model: str
    options: dict[str, Any]
    input_shape: tuple[int, int, int]
    preprocessing: Preprocessing
    versions: dict[str, str]
    class_names: tuple[str, ...] | None = None
    dataset: str | None = None
    recipe: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    seed: int | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    origin: Origin | None = None
    graph: dict[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "preprocessing": self.preprocessing.to_json()}

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> "RunInfo":
        """Reads what ``to_json`` returned; ValueError names the field that is missing or wrong.

        Fields that this version added may be missing.
        """
        missing = [f.name for f in fields(RunInfo) if f.name not in value and f.name not in _ADDED]
        if missing:
            raise ValueError(f"it has no {', '.join(missing)}")
        given = Fields(value, "it")
        shape = given.sizes("input_shape")
        if len(shape) != 3 or math.prod(shape) > _MAX_INPUT:
            raise ValueError(f"input_shape must be [C, H, W] of at most {_MAX_INPUT} values, is {list(shape)}")
        versions, metrics = given.object("versions"), given.object("metrics")
        return RunInfo(
            model=given.text("model"),
            options=given.mapping("options"),
            input_shape=(shape[0], shape[1], shape[2]),
            preprocessing=Preprocessing.from_json(given.value("preprocessing")),
            versions={name: versions.text(name) for name in versions.entries},
            class_names=given.texts("class_names") if given.has("class_names") else None,
            dataset=given.text("dataset") if given.has("dataset") else None,
            recipe=given.text("recipe") if given.has("recipe") else None,
            settings=given.mapping("settings"),
            seed=given.integer("seed") if given.has("seed") else None,
            metrics={name: metrics.number(name) for name in metrics.entries},
            origin=Origin.from_json(given.object("origin")) if given.has("origin") else None,
            graph=given.mapping("graph") if given.has("graph") else None,
        )


_ADDED = {"origin", "graph"}
"""Fields that files of earlier versions lack."""

_MAX_SIDE = 1 << 16
"""Of an image, which may be larger than a small network has weights."""
_MAX_INPUT = 1 << 28
"""Values of an input, 1 GB: networks for larger images would not run, and a damaged shape must not take all memory."""


@dataclass(frozen=True)
class Run:
    """A finished run, read back: ``model`` is in eval mode, on the CPU."""

    folder: Path
    info: RunInfo
    model: nn.Module


def versions() -> dict[str, str]:
    return {"bittern": bittern.__version__, "torch": torch.__version__, "python": platform.python_version()}


def is_finished(folder: Path) -> bool:
    return (folder / MODEL_INFO_FILE).is_file()


def run_files(tensors: Mapping[str, Tensor], info: RunInfo) -> dict[str, bytes]:
    """Name and content of each file of the folder, in the order in which they must be written.

    ``tensors`` is the ``state_dict`` of the network.
    """
    content = save_tensors({name: tensor.cpu().contiguous() for name, tensor in tensors.items()})
    described = {"format": FORMAT, "sha256": hashlib.sha256(content).hexdigest(), **info.to_json()}
    return {MODEL_FILE: content, MODEL_INFO_FILE: (json.dumps(described, indent=2) + "\n").encode()}


def save_run(folder: Path, tensors: Mapping[str, Tensor], info: RunInfo) -> None:
    """Writes both files, the tensors first; TrainingError if the disk is full or not writable."""
    for name, content in run_files(tensors, info).items():
        write_atomically(folder / name, content)


def load_run(path: str | Path, *, unfinished: bool = False) -> Run:
    """Reads a run folder.

    Args:
        unfinished: of a run that is not finished, take the network of its last checkpoint.

    Raises:
        RunError: a file is missing, truncated, foreign or of a newer format, or the tensors are not the model's; the
            message lists them.
    """
    folder = Path(path)
    if unfinished and not is_finished(folder) and checkpoint.exists(folder / CHECKPOINT_FOLDER):
        return _build(folder, *_read_checkpoint(folder / CHECKPOINT_FOLDER))
    info, digest = read_info(folder)
    return _build(folder, info, _read_tensors(folder / MODEL_FILE, digest))


def _build(folder: Path, info: RunInfo, tensors: Mapping[str, Tensor]) -> Run:
    if info.graph is None and info.model not in list_models():
        raise RunError(
            f"the run in {folder} is of the model {info.model!r}, which nobody has registered here: import the module "
            "that does (--import MODULE)"
        )
    try:
        _check_size(info.options, max(_MAX_SIDE, sum(tensor.numel() for tensor in tensors.values())))
        # Shapes only: the weights come from the file.
        with torch.device("meta"), _at_most(len(tensors)):
            model = _network(info)
    except Exception as error:  # options that somebody edited can raise any kind
        raise RunError(f"{folder} describes a model that cannot be built: {short_text(str(error))}") from error
    wrong = mismatches(model.state_dict(), tensors)
    if wrong:
        raise RunError(f"{folder} does not hold the weights of {info.model!r}: {'; '.join(wrong)}")
    model.load_state_dict(tensors, assign=True)
    return Run(folder, info, model.eval())


def _network(info: RunInfo) -> nn.Module:
    if info.graph is None:
        return create(info.model, **info.options)
    graph = LayerGraph.from_json(info.graph)
    if graph.input_shape != info.input_shape:
        raise ValueError(f"graph takes {graph.input_shape}, input_shape is {info.input_shape}")
    return GraphNetwork(graph)


def load_weights(path: str | Path) -> dict[str, Tensor]:
    """The weights of a finished run by name, or of an unfinished one those of its checkpoint.

    Raises:
        RunError: as `load_run`, or the checkpoint cannot be read.
    """
    folder = Path(path)
    if is_finished(folder) or not checkpoint.exists(folder / CHECKPOINT_FOLDER):
        return load_run(folder).model.state_dict()
    return _weights(checkpoint.load(folder / CHECKPOINT_FOLDER))


def _weights(saved: checkpoint.Checkpoint) -> dict[str, Tensor]:
    return single(saved.under("average.module") or saved.under("model"))


def _read_checkpoint(folder: Path) -> tuple[RunInfo, dict[str, Tensor]]:
    saved = checkpoint.load(folder)
    try:
        return RunInfo.from_json(saved.state["network"]), _weights(saved)
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(
            f"the checkpoint in {folder} does not describe its network: {error!r}; finish the run"
        ) from error


def read_info(folder: Path) -> tuple[RunInfo, str]:
    """The content of ``model.json`` in ``folder``, and the SHA-256 of the tensor file; RunError if it is not usable."""
    path = folder / MODEL_INFO_FILE
    if not folder.is_dir():
        raise RunError(f"run folder {folder} {'is a file' if folder.exists() else 'does not exist'}")
    if not path.is_file():
        if checkpoint.exists(folder / CHECKPOINT_FOLDER):
            where = checkpoint.describe(folder / CHECKPOINT_FOLDER)
            raise RunError(
                f"the run in {folder} is not finished (it stopped at {where}); finish it with --resume {folder}, or "
                "take the network of its last checkpoint with --checkpoint"
            )
        raise RunError(
            f"{folder} has neither {MODEL_INFO_FILE} nor a checkpoint; give a folder that `bittern train` or "
            "`bittern import` wrote"
        )
    try:
        with open_file(path) as file:
            content = parse_json(file.read(), "it")
    except (OSError, ValueError) as error:
        raise RunError(f"{path} is truncated or was not written by Bittern ({error}); train or import again") from error
    if not content.has("format"):
        raise RunError(f"{path} was not written by Bittern: it has no format number; give a run folder")
    try:
        version = content.integer("format")
        if version <= FORMAT:
            return RunInfo.from_json(content.entries), content.text("sha256")
    except ValueError as error:
        raise RunError(f"{path} has a missing or invalid field: {error}; train or import again") from error
    raise RunError(f"{path} has format {short(version)}, this version reads up to {FORMAT}; upgrade Bittern")


def _check_size(value: Any, largest: int) -> None:
    """ValueError for an integer above ``largest`` anywhere in options: neither a width nor a depth has as many."""
    if isinstance(value, int) and value > largest:
        raise ValueError(f"an option is {short(value)}, more than a network of these weights can have")
    for item in value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ():
        _check_size(item, largest)


@contextmanager
def _at_most(tensors: int) -> Iterator[None]:
    """ValueError once a network has more parameters than a file with so many tensors can fill.

    A number that somebody edited would otherwise build layers for hours.
    """
    parameters = count(1)

    def check(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        # Some layers replace a parameter of their base class.
        if parameter is not None and next(parameters) > 2 * tensors:
            raise ValueError(f"it has more parameters than the {tensors} tensors in {MODEL_FILE}")

    handle = register_module_parameter_registration_hook(check)
    try:
        yield
    finally:
        handle.remove()


def _read_tensors(path: Path, digest: str) -> dict[str, Tensor]:
    try:
        with open_file(path) as file:
            content = file.read()
        tensors = load_tensors(content)
    except FileNotFoundError:
        raise RunError(f"{path} is missing; train or import again") from None
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path} is truncated or not a safetensors file ({error}); train or import again") from error
    if hashlib.sha256(content).hexdigest() != digest:
        raise RunError(
            f"{path} is not the file that {MODEL_INFO_FILE} describes: its SHA-256 differs; train or import again"
        )
    return tensors
