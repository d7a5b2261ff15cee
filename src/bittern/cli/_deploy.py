"""From a trained run, or a model's name, to a model file."""

import difflib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn

    from bittern.data import Preprocessing
    from bittern.export import Export
    from bittern.train import Run

SEED = 0
"""Of the weights of a model that is exported by its name, and of the noise it is calibrated on."""


@dataclass(frozen=True)
class Network:
    """A network to export. ``input_shape``: (C, H, W); ``trained``: its weights are not random."""

    model: "nn.Module"
    name: str
    input_shape: tuple[int, int, int]
    trained: bool
    class_names: tuple[str, ...] | None = None
    preprocessing: "Preprocessing | None" = None
    dataset: str | None = None


@dataclass(frozen=True)
class ModelFile:
    """What was written, and the exporter's warnings."""

    export: "Export"
    warnings: tuple[str, ...]


def find_network(source: str, image_size: int | None = None, *, unfinished: bool = False) -> Network:
    """The run in folder ``source``, or the model of that name, for images of ``image_size`` or of its own size.

    ``unfinished``: as in `bittern.train.load_run`.

    Raises:
        ValueError: neither exists (the message suggests the closest name), or the run cannot be read.
    """
    from bittern.models import create, get_model, list_models
    from bittern.train import load_run

    path = Path(source)
    if source in list_models() and not path.is_dir():
        import torch

        info = get_model(source)
        size = info.image_size if image_size is None else image_size
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            model = create(source, image_size=size)
        return Network(model.eval(), source, (info.in_channels, size, size), trained=False)
    if not path.exists():
        close = difflib.get_close_matches(source, list_models(), n=1)
        hint = f"; did you mean {close[0]!r}?" if close else " (`bittern models` lists the models)"
        raise ValueError(f"run folder {source} does not exist, and no model has that name{hint}")
    return network_of(load_run(path, unfinished=unfinished), image_size)


def network_of(run: "Run", image_size: int | None = None) -> Network:
    """What a run knows of its network."""
    info = run.info
    channels, height, width = info.input_shape
    shape = (channels, height, width) if image_size is None else (channels, image_size, image_size)
    return Network(run.model, info.model, shape, True, info.class_names, info.preprocessing, info.dataset)


def export_run(run: "Run", path: Path) -> ModelFile:
    """Writes the network of ``run`` to ``path``, one image at a time, with the run's class names and preprocessing.

    Raises:
        ExportError: the network cannot be exported.
        OSError: the file cannot be written.
    """
    return export_network(network_of(run), path)


def export_network(
    network: Network,
    path: Path,
    *,
    batch: int = 1,
    max_batch: int | None = None,
    int8: "Tensor | None" = None,
    check: bool = True,
) -> ModelFile:
    """Writes ``network`` to ``path``; ``max_batch``, ``int8`` and ``check`` as in `bittern.export.to_pte`.

    Raises:
        ExportError: the network cannot be exported.
        OSError: the file cannot be written.
    """
    import torch

    from bittern.export import to_pte

    check_target(path)
    with export_warnings() as messages:
        export = to_pte(
            network.model,
            torch.zeros(batch, *network.input_shape),
            path,
            name=network.name,
            class_names=network.class_names,
            preprocessing=network.preprocessing,
            max_batch=max_batch,
            int8=int8,
            check=check,
        )
    return ModelFile(export, tuple(messages))


@contextmanager
def export_warnings() -> Iterator[list[str]]:
    """Inside, what the exporter warns of is collected, and nothing else is warned of; full when it is left."""
    from bittern.export import ExportWarning

    messages: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", ExportWarning)
        yield messages
    messages += (str(warning.message) for warning in caught)


def check_target(path: Path) -> None:
    """Raises ValueError if no file can be written at ``path``, before work is done for it."""
    if path.is_dir():
        raise ValueError(f"{path} is a folder; name the file to write, such as {path / 'model.pte'}")
    if not path.absolute().parent.is_dir():
        raise ValueError(f"there is no folder {path.absolute().parent} to write {path.name} to; create it first")
