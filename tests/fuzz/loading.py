"""Loads damaged model files, one after another, and ends at the first that is neither run nor refused with a reason.

``python -m fuzz.loading MODEL.pte SEED FIRST SECONDS`` runs under a parent, as a damaged file could end the process: it
prints the number of each case before the case, and that number runs it again. Bytes of the program
with a digest that fits are left alone, except for the metadata: ExecuTorch's loader trusts what it is given.
"""

import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from bittern.runtime import Metadata, ModelFileError, container, load
from fuzz import mutate
from fuzz.operators import FindingError

MEMORY = 4 << 30  # bytes
LONGEST_CASE = 20  # seconds
LONGEST_MESSAGE = 600  # characters


def check_file(path: Path) -> None:
    """A file runs or is refused."""
    engine = load(path)
    images = np.zeros(engine.metadata.input_shape, np.float32)
    assert engine(images).dtype == np.float32


def run_case(base: mutate.Base, seed: int, number: int, path: Path) -> bool:
    """Whether the case was accepted. Raises any error but a ModelFileError of one short line."""
    chance = random.Random(f"{seed}-{number}")
    kinds = (mutate.file_without_digest, mutate.file_with_other_footer, mutate.file_with_other_metadata, None, None)
    make = kinds[number % len(kinds)]
    try:
        if make is None:
            Metadata.from_json(mutate.metadata_text(chance, base))
        else:
            path.write_bytes(make(chance, base))
            check_file(path)
    except ModelFileError as error:
        message = str(error)
        assert "\n" not in message, f"an error of several lines: {message!r}"
        assert len(message) <= LONGEST_MESSAGE, f"an error of {len(message)} characters: {message[:200]} ..."
        message.encode()  # it must be printable
        return False
    if make is mutate.file_without_digest:
        assert path.read_bytes() == container.append_footer(base.program), "a damaged file was accepted"
    return True


def fuzz(model: Path, seed: int, seconds: float) -> tuple[int, int]:
    """Runs cases for ``seconds`` in a process of its own; returns how many there were and how many were accepted.

    Raises:
        FindingError: with the number of the case and what it did.
    """
    command = [sys.executable, "-m", "fuzz.loading", str(model), str(seed), "0", str(seconds)]
    tests = str(Path(__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([tests, os.environ.get("PYTHONPATH", "")])}
    with tempfile.TemporaryFile("w+") as errors, tempfile.TemporaryFile("w+") as output:
        with subprocess.Popen(command, stdout=output, stderr=errors, env=environment) as process:
            try:
                status: int | str = process.wait(seconds + 60)
            except subprocess.TimeoutExpired:
                process.kill()
                status = "it hangs"
        output.seek(0)
        errors.seek(0)
        last, report = output.read().split("\n")[-2:][0], errors.read()
    words = last.split()
    if status == 0 and words[0] == "done":
        return int(words[1]), int(words[3])
    again = f"again: PYTHONPATH=tests python -m fuzz.loading {model} {seed} {last} 0"
    raise FindingError(f"the fuzzer of loading ended with status {status} at case {last} ({again})\n{report[-4000:]}")


def main(model: str, seed: int, first: int, seconds: float) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    base = mutate.Base.of(Path(model).read_bytes())
    end, number, accepted = time.monotonic() + seconds, first, 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "fuzzed.pte")
        while number == first or time.monotonic() < end:
            print(number, flush=True)
            signal.alarm(LONGEST_CASE)  # a case that hangs ends the process
            accepted += run_case(base, seed, number, path)
            number += 1
    print(f"done {number - first} cases {accepted} accepted", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
