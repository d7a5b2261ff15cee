"""Every model at full size: PyTorch = references of the operators = engine; part of ``python -m benchmarks networks``.

What was found of a model is kept beside its program, under a name that tells what both depend on.
"""

import json
from collections.abc import Sequence
from typing import Any

from benchmarks.driver import Driver, FailedError
from benchmarks.environments import MODELS, VENV, Say
from benchmarks.kernels import source_digest
from benchmarks.network_times import EXPORTER, bittern, column
from benchmarks.results import ProofRow


def measure(driver: Driver, networks: Sequence[str], *, say: Say, machine: str, revision: str) -> list[ProofRow]:
    """One row a network."""
    builder = "network_proof"
    digest = source_digest(f"benchmarks/build_models/{builder}.py", *EXPORTER, "src/bittern/runtime", "native")
    rows = []
    for index, network in enumerate(networks):
        program = column(driver, bittern(network), 1)
        path = MODELS / f"{network}-proof-{digest}.json"
        status, counts = program.reason, _NOTHING
        try:
            if not status:
                subject = {"network": network, "program": str(program.path)}
                driver.build(VENV, builder, subject, path)
                counts = json.loads(path.read_text())
        except FailedError as error:
            status = str(error)
        row = ProofRow(network, status, **counts, machine=machine, revision=revision)
        rows.append(row)
        found = f"{row.reference_differences} differences from the references, {row.model_differences} from PyTorch"
        say(f"[{index + 1}/{len(networks)}] {network}: {status or found}{'' if row.passed else ' -- NOT PROVEN'}")
    return rows


_NOTHING: dict[str, Any] = {
    "isa": "",
    "images": 0,
    "packed": 0,
    "unpacked": 0,
    "fallbacks": 0,
    "bits": 0,
    "floats": 0,
    "reference_differences": 0,
    "model_differences": 0,
    "margin": 0.0,
    "equal_predictions": 0,
    "passed": 0,
}
