"""``log.csv``: one line per epoch; and the same figures for TensorBoard, where it is installed."""

import contextlib
import csv
import importlib.util
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bittern.train.atomic import write_atomically

LOG_FILE = "log.csv"
TENSORBOARD_FOLDER = "tensorboard"
_FIGURES = ("lr", "loss", "accuracy", "test_loss", "test_accuracy", "flip_rate")
COLUMNS = ("stage", "epoch", "step", *_FIGURES, "seconds", "steps_per_second", "waiting", "skipped")


def write_csv(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes every row; what is unknown is empty.

    ``step`` counts from the start of the run. ``seconds`` is the epoch's, evaluation included; ``steps_per_second`` and
    ``waiting``, the share of the time spent waiting for data, are its training's. ``flip_rate`` is the mean share of
    the binary weights that flip in a step. ``skipped`` counts the images that could not be read so far.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(folder / LOG_FILE, text.getvalue().encode())


class Curves:
    """Scalars for TensorBoard from step ``first_step`` on; does nothing where TensorBoard is not installed.

    They are a courtesy: a disk that takes no more is for the checkpoint to report, and no error here.
    """

    def __init__(self, folder: Path, first_step: int) -> None:
        self._writer = None
        if importlib.util.find_spec("tensorboard") is not None:
            from torch.utils.tensorboard import SummaryWriter  # takes a while to import

            with contextlib.suppress(OSError):
                self._writer = SummaryWriter(str(folder / TENSORBOARD_FOLDER), purge_step=first_step)

    def add(self, row: Mapping[str, Any]) -> None:
        if self._writer is None:
            return
        with contextlib.suppress(OSError):
            for name in _FIGURES:
                if row[name] is not None:
                    self._writer.add_scalar(name, row[name], row["step"])

    def close(self) -> None:
        if self._writer is not None:
            with contextlib.suppress(OSError):
                self._writer.close()
