"""From a published checkpoint to a run folder."""

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from bittern._files import open_file, write_atomically
from bittern.data import get_dataset
from bittern.importers.errors import CheckpointError
from bittern.importers.recognise import Candidate, recognise
from bittern.importers.slots import fill
from bittern.importers.tensor_file import TensorFile
from bittern.importers.torch_file import PICKLE_MAGIC, ZIP_MAGIC, read_torch
from bittern.models import get_model
from bittern.nn import BinaryConv2d
from bittern.train.runs import Origin, RunInfo, run_files, versions

_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"


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
    path: str | Path, model: str | None = None, *, step: int | None = None, image_size: int | None = None
) -> Imported:
    """Reads a checkpoint of Larq Zoo (``.h5``) or of the authors' PyTorch code of ReActNet and AdamBNN.

    Args:
        model: our model whose weights it must hold; None infers it from names and shapes.
        step: 1 (real weights) or 2 (binary weights) of two-step training, where names and shapes do not tell.
        image_size: height and width of the images that the network was trained on; None takes the model's own.

    Raises:
        CheckpointError: the file is damaged, of no known source, or of another model; the message lists every tensor
            that is missing, surplus or misshapen.
        ValueError: an unknown model, or an argument out of range.
        OSError: the file cannot be opened.
        ModuleNotFoundError: a Keras file, and h5py is not installed.
    """
    if step not in (None, 1, 2):
        raise ValueError(f"step must be 1 or 2, got {step}")
    if image_size is not None and image_size < 1:
        raise ValueError(f"image_size must be at least 1, got {image_size}")
    file = Path(path)
    checkpoint = read_checkpoint(file)
    with open_file(file) as stream:  # only now: it may be anything, and large
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    found = recognise(checkpoint, str(path), model=model, step=step, image_size=image_size)
    fill(found.network, found.match.pairs, checkpoint.tensors)
    return Imported(found.network, _info(found, file, digest), len(checkpoint.tensors), tuple(_warnings(found)))


def read_checkpoint(path: Path) -> TensorFile:
    """The tensors of ``path``, a file of Keras or of PyTorch."""
    with open_file(path) as stream:
        head = stream.read(8)
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
