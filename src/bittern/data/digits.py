"""The 1,797 handwritten digits of 8x8 pixels that come with scikit-learn: nothing to download."""

from pathlib import Path

import numpy as np
import torch

from bittern._image_geometry import STRETCH
from bittern._preprocessing import Preprocessing
from bittern.data.dataset import DatasetInfo, Split
from bittern.data.samples import Progress

SPLIT_SEED = 0
"""Seed of the fixed split: a random fifth of each digit, rounded, is the test split."""


def _load(folder: Path | None, splits: tuple[str, ...], progress: Progress | None) -> dict[str, Split]:
    from sklearn.datasets import load_digits  # takes a second to import

    digits = load_digits()
    labels = digits.target.astype(np.int64)
    # The pixels count 0..16 dots of ink; scaled to 8-bit images, full ink is 255.
    pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)[:, None]
    # RandomState's streams are frozen, so the split is the same with every version of numpy.
    random = np.random.RandomState(SPLIT_SEED)
    is_test = np.zeros(len(labels), bool)
    for digit in range(10):
        rows = np.flatnonzero(labels == digit)
        is_test[random.permutation(rows)[: round(len(rows) / 5)]] = True
    rows_of = {"train": ~is_test, "test": is_test}
    return {s: Split(torch.from_numpy(pixels[rows_of[s]]), torch.from_numpy(labels[rows_of[s]])) for s in splits}


DIGITS = DatasetInfo(
    name="digits",
    class_names=tuple("0123456789"),
    input_shape=(1, 8, 8),
    preprocessing=Preprocessing(1 / 255, (0.305,), (0.376,), STRETCH),
    needs_folder=False,
    load=_load,
    description="1,797 handwritten digits, 8x8 grey; a fixed stratified fifth is the test split",
    source="scikit-learn's load_digits (UCI, Optical Recognition of Handwritten Digits)",
)
