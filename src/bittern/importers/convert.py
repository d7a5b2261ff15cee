"""From a published checkpoint to a run folder."""

import hashlib
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bittern._files import open_file, write_atomically
from bittern.data import Preprocessing, get_dataset
from bittern.importers.errors import CheckpointError
from bittern.importers.own_network import OwnNetwork
from bittern.importers.recognise import Candidate, recognise
from bittern.importers.slots import fill
from bittern.importers.tensor_file import TensorFile
from bittern.importers.torch_file import PICKLE_MAGIC, ZIP_MAGIC, read_torch
from bittern.models import get_model
from bittern.nn import BinaryConv2d
from bittern.train.runs import Origin, RunInfo, run_files, versions

_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"

PIXELS = Preprocessing(1 / 255, (0.0,), (1.0,))
"""Taken for the preprocessing of networks of others, whose files do not tell it: values from 0 to 1."""


@dataclass(frozen=True)
class Imported:
    """A network with a checkpoint's weights, in evaluation mode.

    Args:
        tensors: how many the file has; all of them were used.
        warnings: what the user should know about the result.
    """

    network: nn.Module
    info: RunInfo
    tensors: int
    warnings: tuple[str, ...]


def import_checkpoint(
    path: str | Path,
    model: str | None = None,
    *,
    step: int | None = None,
    image_size: int | None = None,
    pixels: Preprocessing | None = None,
) -> Imported:
    """Reads a network that others trained.

    That is a published checkpoint, of Larq Zoo (``.h5``) or of the authors' PyTorch code of ReActNet and AdamBNN; or
    any network of standard layers, from a Keras 2 file with its configuration (``.h5``) or from QONNX (``.onnx``).

    Args:
        model: our model whose weights it must hold; None infers it from names and shapes.
        step: 1 (real weights) or 2 (binary weights) of two-step training, where names and shapes do not tell.
        image_size: height and width of the images that the network was trained on; None takes the model's own.
        pixels: the preprocessing of a network that is not a published one; None takes ``PIXELS``, with a warning.

    Raises:
        CheckpointError: the file is damaged, of no known source, or of another model, or it has a layer that is not
            imported; the message lists every tensor that is missing, surplus or misshapen.
        ValueError: an unknown model, or an argument out of range.
        OSError: the file cannot be opened.
        ModuleNotFoundError: a Keras file, and h5py is not installed; or QONNX, and onnx is not installed.
    """
    if step not in (None, 1, 2):
        raise ValueError(f"step must be 1 or 2, got {step}")
    if image_size is not None and image_size < 1:
        raise ValueError(f"image_size must be at least 1, got {image_size}")
    file = Path(path)
    own: OwnNetwork | None = None
    found: Candidate | None = None
    if file.suffix == ".onnx":
        from bittern.importers.onnx_network import read_onnx

        own = read_onnx(file)
    else:
        checkpoint = read_checkpoint(file)
        if checkpoint.config is None or model is not None or step is not None or image_size is not None:
            found = _published(checkpoint, str(path), model, step, image_size)
        else:
            found, own = _published_or_own(checkpoint, str(path))
    with open_file(file) as stream:  # only now: it may be anything, and large
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if own is not None:
        if model is not None or step is not None or image_size is not None:
            raise CheckpointError(f"{path} describes its own network: leave --model, --step and --image-size out")
        return _imported(own, file, digest, pixels)
    assert found is not None
    if pixels is not None:
        raise CheckpointError(
            f"{path} is a published {found.source.model}, whose preprocessing is known: leave pixels out"
        )
    fill(found.network, found.match.pairs, checkpoint.tensors)
    return Imported(found.network, _info(found, file, digest), len(checkpoint.tensors), tuple(_warnings(found)))


def _published(file: TensorFile, what: str, model: str | None, step: int | None, image_size: int | None) -> Candidate:
    try:
        return recognise(file, what, model=model, step=step, image_size=image_size)
    except CheckpointError as error:
        if file.config is not None:
            hint = "As your own network, whose layers the file describes, it is imported without options"
        elif file.layers:
            hint = "Your own network is imported from a file that describes its layers, as model.save writes it"
        else:
            raise
        raise CheckpointError(f"{error}. {hint}") from None


def _published_or_own(file: TensorFile, what: str) -> tuple[Candidate | None, OwnNetwork | None]:
    """The published model whose tensors ``file`` has if it also computes the same as the file's configuration, else
    the network of the configuration. One of the two is None."""
    from bittern.importers.keras_network import read_network

    try:
        own = read_network(file)
    except CheckpointError as refused:
        try:
            return recognise(file, what), None  # published models may have layers of their own
        except CheckpointError:
            raise refused from None
    try:
        found = recognise(file, what, image_size=own.input_shape[1])
    except ValueError:  # of no published model, or no size of its images
        return None, own
    return (found, None) if _same_outputs(found, file, own) else (None, own)


def _same_outputs(found: Candidate, file: TensorFile, own: OwnNetwork) -> bool:
    """Whether both give nearly the same for random images; a few signs near their thresholds may differ."""
    fill(found.network, found.match.pairs, file.tensors)
    images = torch.rand(3, *own.input_shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    try:
        with torch.no_grad():
            ours, theirs = found.network(images), own.network(images)
    except RuntimeError:  # images that the published model does not take
        return False
    # Ours returns logits, the source often probabilities.
    return ours.shape == theirs.shape and any(
        bool((each - theirs).norm() < 0.05 * theirs.norm()) for each in (ours, ours.softmax(1))
    )


def _imported(own: OwnNetwork, file: Path, digest: str, pixels: Preprocessing | None) -> Imported:
    warnings = own.warnings
    if pixels is None:
        warnings += ("the file does not tell its preprocessing: pixels from 0 to 1 are assumed (--pixels LOW HIGH)",)
    info = RunInfo(
        model=re.sub(r"[^\w.-]+", "-", own.name)[:60],  # files are called after it
        options=own.options,
        input_shape=own.input_shape,
        preprocessing=pixels or PIXELS,
        versions=versions(),
        origin=Origin(own.source, file.name, digest),
        graph=own.network.graph.to_json(),
    )
    return Imported(own.network, info, own.tensors, warnings)


def read_checkpoint(path: Path) -> TensorFile:
    """The tensors of ``path``, a file of Keras or of PyTorch."""
    with open_file(path) as stream:
        head = stream.read(8)
    if path.suffix == ".keras":
        raise CheckpointError(f"{path} is in the format of Keras 3; save it with Keras 2: model.save('model.h5')")
    if head.startswith(_HDF5_MAGIC):
        from bittern.importers.keras_file import read_keras

        return read_keras(path)
    if head.startswith((ZIP_MAGIC, PICKLE_MAGIC)):
        return read_torch(path)
    what = "empty" if not head else f"neither a Keras .h5 file nor a PyTorch checkpoint: it begins with {head!r}"
    raise CheckpointError(f"{path} is {what}")


def save_imported(imported: Imported, out: str | Path) -> None:
    """Writes the run folder ``out``, which ``bittern.train.load_run`` reads; it appears complete or not at all.

    Raises:
        CheckpointError: ``out`` exists.
        OSError: it cannot be written.
    """
    folder = Path(out)
    check_free(folder)
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    partial.mkdir(parents=True)
    try:
        for name, content in run_files(imported.network.state_dict(), imported.info).items():
            write_atomically(partial / name, content)
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def check_free(folder: Path) -> None:
    """CheckpointError if ``folder`` exists, as a folder or as anything else."""
    if folder.exists() or folder.is_symlink():
        raise CheckpointError(f"{folder} exists already; choose another folder, or remove it first")


def _info(found: Candidate, file: Path, digest: str) -> RunInfo:
    options: dict[str, Any] = found.options
    shape = (options["in_channels"], options["image_size"], options["image_size"])
    data = get_dataset(found.source.dataset) if found.source.dataset is not None else None
    if data is not None and (data.input_shape, len(data.class_names)) != (shape, options["num_classes"]):
        data = None  # not the published network: trained on other images
    return RunInfo(
        model=found.source.model,
        options=options,
        input_shape=shape,
        preprocessing=found.source.pixels,
        versions=versions(),
        class_names=data.class_names if data is not None else None,
        dataset=data.name if data is not None else None,
        origin=Origin(found.source.name, file.name, digest),
    )


def _warnings(found: Candidate) -> list[str]:
    texts = []
    if found.source.zero_stays:
        zeros = sum(
            int((layer.weight == 0).sum())
            for layer in found.network.modules()
            if isinstance(layer, BinaryConv2d) and layer.binarize_weight
        )
        if zeros:
            texts.append(f"{zeros} binary weights are exactly 0: the source takes their sign as 0, Bittern as +1")
    if found.options["num_classes"] != get_model(found.source.model).num_classes:
        texts.append(
            f"a network of {found.options['num_classes']} classes is not the published one; its preprocessing is "
            "assumed to be the same, see model.json"
        )
    return texts
