"""Loss landscapes: the loss around the trained weights, in random directions scaled to each filter."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bittern._run_files import STUDY_FOLDER
from bittern.study.errors import StudyError
from bittern.study.files import read_arrays, write_arrays
from bittern.study.look import per_filter

LANDSCAPE_FILE = "landscape.npz"

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Landscape:
    """``loss`` and ``accuracy`` [len(beta), len(alpha)] at w + alpha d + beta e; one row with beta 0 for a line."""

    alpha: Floats
    beta: Floats
    loss: Floats
    accuracy: Floats

    def arrays(self) -> dict[str, Floats]:
        return {"alpha": self.alpha, "beta": self.beta, "loss": self.loss, "accuracy": self.accuracy}


def random_directions(parameters: Sequence[Tensor], count: int, seed: int) -> list[list[Tensor]]:
    """``count`` random directions, each filter as long as that of the weights::

        d_o <- n_o ||w_o|| / ||n_o||,  n normal;   0 for what holds one value per channel (biases, BatchNorm, shifts)

    Li et al. 2018, Visualizing the Loss Landscape of Neural Nets, arXiv:1712.09913, section 4. They depend on the seed
    and not on the device.
    """
    generator = torch.Generator().manual_seed(seed)
    found = []
    for _ in range(count):
        direction = []
        for w in parameters:
            noise = torch.randn(w.shape, generator=generator).to(w)
            if w.dim() < 2:
                direction.append(torch.zeros_like(w))
                continue
            length, of_noise = (torch.linalg.vector_norm(t, dim=per_filter(t), keepdim=True) for t in (w, noise))
            direction.append(noise * (length / of_noise.clamp(min=torch.finfo(w.dtype).tiny)))
        found.append(direction)
    return found


@torch.no_grad()
def landscape(
    model: nn.Module,
    batches: Callable[[], Iterator[tuple[Tensor, Tensor]]],
    *,
    dimensions: int = 2,
    points: int = 21,
    span: float = 1.0,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Landscape:
    """Cross-entropy and accuracy of ``model``, in eval mode, over ``batches()`` of (inputs, labels) at each point.

    Coordinates are ``points`` values from -span to span; with an odd number the middle one is the weights themselves.
    In a binary network the latent weights move, so the surface has steps where signs change. The weights end as they
    were. ``progress`` is called as ``progress(points done, points in all)``.

    Raises:
        ValueError: ``dimensions``, ``points`` or ``span`` out of range, or no batch.
    """
    if dimensions not in (1, 2):
        raise ValueError(f"dimensions must be 1 or 2, got {dimensions}")
    if points < 2:
        raise ValueError(f"points must be at least 2, got {points}")
    if not 0 < span < float("inf"):
        raise ValueError(f"span must be above 0, got {span}")
    alpha = np.linspace(-span, span, points)
    beta = alpha if dimensions == 2 else np.zeros(1)
    parameters = list(model.parameters())
    chosen = random_directions(parameters, dimensions, seed)
    loss, accuracy = np.zeros((len(beta), points)), np.zeros((len(beta), points))
    with _restored(model):
        origin = [p.clone() for p in parameters]
        for row, b in enumerate(beta):
            for column, a in enumerate(alpha):
                for i, p in enumerate(parameters):
                    p.copy_(origin[i])
                    for amount, direction in zip((a, b), chosen, strict=False):
                        p.add_(float(amount) * direction[i])
                loss[row, column], accuracy[row, column] = _evaluate(model, batches())
                if progress is not None:
                    progress(row * points + column + 1, loss.size)
    return Landscape(alpha, beta, loss, accuracy)


def _evaluate(model: nn.Module, batches: Iterator[tuple[Tensor, Tensor]]) -> tuple[float, float]:
    loss, right, count = 0.0, 0, 0
    for x, labels in batches:
        logits = model(x).float()
        loss += F.cross_entropy(logits, labels, reduction="sum").item()
        right += int((logits.argmax(1) == labels).sum())
        count += len(labels)
    if not count:
        raise ValueError("a landscape needs at least one batch")
    return loss / count, right / count


@contextmanager
def _restored(model: nn.Module) -> Iterator[None]:
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        model.load_state_dict(state)
        for module, training in modes.items():
            module.training = training


def landscape_of_run(
    run_folder: str | Path,
    data_dir: str | Path | None = None,
    *,
    images: int = 1000,
    batch_size: int = 500,
    **options: Any,
) -> Landscape:
    """The landscape of a finished run on ``images`` training images, evenly spread; saved in its ``study`` folder.

    ``options`` are those of ``landscape``.

    Raises:
        ValueError: the run is not finished (RunError), it was imported, or the data cannot be read (DataError).
    """
    from bittern.data import get_dataset, open_dataset
    from bittern.train import load_run

    run = load_run(run_folder)
    if run.info.dataset is None:
        raise StudyError(
            f"{run_folder} does not say which data set it was trained on, which a landscape needs; call "
            "bittern.study.landscape.landscape(model, batches) instead"
        )
    size = run.info.input_shape[1] if get_dataset(run.info.dataset).streamed else None
    split = open_dataset(run.info.dataset, data_dir, image_size=size, splits=("train",)).splits["train"].take(images)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    x = run.info.preprocessing(split.images.to(device)).contiguous(memory_format=torch.channels_last)
    labels = split.labels.to(device)
    parts = list(zip(x.split(batch_size), labels.split(batch_size), strict=True))
    found = landscape(run.model.to(device), lambda: iter(parts), **options)
    folder = Path(run_folder) / STUDY_FOLDER
    folder.mkdir(exist_ok=True)
    write_arrays(folder / LANDSCAPE_FILE, found.arrays())
    return found


def read_landscape(folder: Path) -> Landscape | None:
    """What ``landscape_of_run`` saved in a study's folder; None if there is none, or it is damaged."""
    try:
        return Landscape(**(read_arrays(folder / LANDSCAPE_FILE) or {}))
    except TypeError:  # an array is missing or unknown
        return None
