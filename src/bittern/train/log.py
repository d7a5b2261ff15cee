"""``log.csv``: a line for each epoch; and the same values for TensorBoard."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bittern._run_files import LOG_FILE, TENSORBOARD_FOLDER
from bittern._tensorboard import EventWriter
from bittern.train.atomic import write_atomically

_CURVES = ("lr", "loss", "accuracy", "test_loss", "test_accuracy", "flip_rate")
COLUMNS = ("stage", "epoch", "step", *_CURVES, "seconds", "steps_per_second", "waiting", "skipped")


class EpochLog:
    """Writes ``log.csv`` and events for TensorBoard.

    ``step`` counts from the start of the run. ``seconds`` is the epoch's, evaluation included; ``steps_per_second`` and
    ``waiting``, the share of the time spent waiting for data, are its training's. ``flip_rate`` is the mean share of
    the binary weights that flip in a step. ``skipped`` counts the images that could not be read so far.

    Args:
        folder: the run's; None writes nothing.
        first_step: the next step of the run, counted from 1.
    """

    def __init__(self, folder: Path | None, first_step: int) -> None:
        self._folder = folder
        self._events = EventWriter(folder / TENSORBOARD_FOLDER, first_step) if folder else None

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Writes all ``rows``, of which the last one is new; unknown values are empty.

        Raises:
            TrainingError: the disk is full or not writable.
        """
        if self._folder is None or self._events is None:
            return
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        self._events.add(rows[-1]["step"], {name: v for name in _CURVES if (v := rows[-1][name]) is not None})
        write_atomically(self._folder / LOG_FILE, text.getvalue().encode())

    def close(self) -> None:
        if self._events is not None:
            self._events.close()
