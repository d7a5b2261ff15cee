"""The scalars of a study for TensorBoard, where it is installed."""

import contextlib
import importlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

TENSORBOARD_FOLDER = "tensorboard"


class Scalars:
    """Writes events into ``folder``, from step ``first_step`` on; does nothing where TensorBoard is not installed.

    They are a courtesy: a disk that takes no more is for the checkpoint to report, and no error here.
    """

    def __init__(self, folder: Path, first_step: int) -> None:
        self._writer: Any = None
        if importlib.util.find_spec("tensorboard") is not None:
            from torch.utils.tensorboard import SummaryWriter  # takes a while to import

            with contextlib.suppress(OSError):
                self._writer = SummaryWriter(str(folder / TENSORBOARD_FOLDER), purge_step=first_step)

    def add(self, step: int, values: Mapping[str, Mapping[str, float]]) -> None:
        """``values``: measure -> layer -> value; in TensorBoard ``measure/layer``. One event for all of them."""
        if self._writer is None:
            return
        summary: Any = importlib.import_module("tensorboard.compat.proto.summary_pb2").Summary
        scalars = [
            summary.Value(tag=f"{measure}/{layer}", simple_value=value)
            for measure, layers in values.items()
            for layer, value in layers.items()
        ]
        with contextlib.suppress(OSError):
            self._writer.file_writer.add_summary(summary(value=scalars), step)

    def close(self) -> None:
        if self._writer is not None:
            with contextlib.suppress(OSError):
                self._writer.close()
