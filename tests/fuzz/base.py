"""The valid model file that the fuzzer of loading damages."""

from dataclasses import replace
from pathlib import Path

from bittern.runtime import Preprocessing
from runtime.programs import METADATA, Small, example, lower, write


def write_base(path: Path) -> Path:
    metadata = replace(METADATA, preprocessing=Preprocessing(1 / 255, (0.5, 0.4, 0.3), (0.2, 0.2, 0.2)))
    return write(path, lower(Small(), example(), metadata=metadata))
