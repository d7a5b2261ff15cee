"""``skipped.csv``: a line for each image that a run could not read."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from bittern._run_files import SKIPPED_FILE
from bittern.train.atomic import write_atomically

_COLUMNS = ("stage", "epoch", "name", "reason")


class SkippedImages:
    """The images that a run skipped, and the epoch in which it first did. Continues the file of a stopped run.

    Args:
        folder: of the file, which is made for the first image; None keeps no file.
    """

    def __init__(self, folder: Path | None) -> None:
        self._path = None if folder is None else folder / SKIPPED_FILE
        self._rows: dict[tuple[str, str], tuple[str, str]] = {}
        if self._path is not None and self._path.is_file():
            # The bytes of a file's name need not be UTF-8.
            text = self._path.read_bytes().decode(errors="surrogateescape")
            for row in list(csv.reader(io.StringIO(text, newline="")))[1:]:
                if len(row) == len(_COLUMNS):
                    self._rows[row[2], row[3]] = (row[0], row[1])

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, images: Sequence[tuple[str, str]], stage: str, epoch: int) -> list[tuple[str, str]]:
        """Writes those of ``images``, each (name, reason), that are new, and returns them.

        Raises:
            TrainingError: the disk is full or not writable. The file is as it was.
        """
        new = [image for image in dict.fromkeys(images) if image not in self._rows]
        self._rows |= {image: (stage, str(epoch)) for image in new}
        if new and self._path is not None:
            text = io.StringIO()
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(_COLUMNS)
            writer.writerows((*when, *image) for image, when in self._rows.items())
            write_atomically(self._path, text.getvalue().encode(errors="surrogateescape"))
        return new
