"""A binary network with one thing changed (`measure.rewrites`), each variant a program of Bittern's export.

The file is an index: {variant: {"changed": operators, "file": a program beside it, "reason": why there is none}}.
"""

import json
from pathlib import Path
from typing import Any

import torch

from benchmarks.measure.networks import create, example
from benchmarks.measure.rewrites import VARIANTS, rewrite


def build(subject: dict[str, Any], path: Path) -> None:
    from bittern.export import ExportError, to_pte

    torch.set_num_threads(1)
    network = subject["network"]
    model, x = create(network), example(network)
    index = {}
    for variant, change in VARIANTS.items():
        changed, count = rewrite(model, x, change)
        file = path.with_name(f"{path.stem}-{variant.replace(' ', '-')}.pte")
        reason = "" if count else "nothing to change"
        try:
            if count:
                to_pte(changed, x, file, name=network)
        except ExportError as error:
            reason = str(error)
        name = file.name.split("-", 2)[2]  # without the mark of a partial file (`measure.engine_process`)
        index[variant] = {"changed": count, "file": name, "reason": reason}
    path.write_text(json.dumps(index))
