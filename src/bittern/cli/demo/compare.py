"""The test digits through the engine, in processes without torch, and through PyTorch."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from bittern.cli._errors import FailedError
from bittern.data import load
from bittern.export import Verification, verify
from bittern.runtime import Results, run_in_process

if TYPE_CHECKING:
    from bittern.train import Run


@dataclass(frozen=True)
class Digits:
    """The test split: ``pixels`` uint8 [N, H, W], ``inputs`` float32 [N, 1, H, W], ``labels`` int64 [N]."""

    pixels: npt.NDArray[np.uint8]
    inputs: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]

    def accuracy(self, predictions: npt.ArrayLike) -> float:
        return float((np.asarray(predictions) == self.labels).mean())


def load_digits(run: "Run") -> Digits:
    """The test split, preprocessed as ``run`` was trained."""
    split = load("digits", None, ("test",))["test"]
    inputs = run.info.preprocessing(split.images)
    return Digits(split.images[:, 0].numpy(), inputs.numpy(), split.labels.numpy())


def compare(run: "Run", file: Path, digits: Digits, isa: str | None = None) -> tuple[Results, Verification]:
    """What the engine gives for all test digits in a process of its own, and how it compares with PyTorch's.

    Raises:
        FailedError: the process failed, or torch was imported in it.
    """
    try:
        results = run_in_process(file, digits.inputs, isa=isa, trace=True)
    except RuntimeError as error:
        raise FailedError(f"the engine's process failed: {error}") from error
    return results, verify(run.model, file, digits.inputs, results)
