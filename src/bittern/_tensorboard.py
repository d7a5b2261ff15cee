"""Scalars for TensorBoard, where it is installed."""

import contextlib
import importlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class EventWriter:
    """Writes events into ``folder``; does nothing where TensorBoard is not installed.

    Events are a courtesy: a full disk is for the checkpoint to report, and no error here.

    Args:
        first_step: events of an earlier attempt from this step on are dropped.
    """

    def __init__(self, folder: Path, first_step: int) -> None:
        self._writer: Any = None
        if importlib.util.find_spec("tensorboard") is not None:
            from torch.utils.tensorboard import SummaryWriter  # takes a while to import

            with contextlib.suppress(OSError):
                self._writer = SummaryWriter(str(folder), purge_step=first_step)

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """One event with a scalar for each tag in ``values``."""
        if self._writer is None:
            return
        summary: Any = importlib.import_module("tensorboard.compat.proto.summary_pb2").Summary
        scalars = [summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        with contextlib.suppress(OSError):
            self._writer.file_writer.add_summary(summary(value=scalars), step)

    def close(self) -> None:
        if self._writer is not None:
            with contextlib.suppress(OSError):
                self._writer.close()
