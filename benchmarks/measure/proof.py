"""Every model at full size: PyTorch = references of the operators = engine; part of ``python -m benchmarks networks``.

What was found of a model is kept beside its program, under a name made of what both depend on.
"""

import json
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from benchmarks.measure.driver import Driver, RequestError
from benchmarks.measure.environments import MODELS, VENV
from benchmarks.measure.network_files import bittern, column
from benchmarks.measure.programs import BUILDERS, EXPORTER, source_digest
from benchmarks.rows import ProofRow, Stamp

_BUILDER = "network_proof"


def measure(networks: Sequence[str], driver: Driver, stamp: Stamp) -> list[ProofRow]:
    """One row a network."""
    digest = source_digest(f"{BUILDERS}/{_BUILDER}.py", *EXPORTER, "src/bittern/runtime", "native")
    rows = []
    for index, network in enumerate(networks):
        program = column(driver, bittern(network), 1)
        path = MODELS / f"{network}-proof-{digest}.json"
        status, counts = program.reason, _nothing()
        try:
            if not status:
                driver.build(VENV, _BUILDER, {"network": network, "program": str(program.path)}, path)
                counts = json.loads(path.read_text())
        except RequestError as error:
            status = str(error)
        row = ProofRow(network, status, **counts, **stamp)
        rows.append(row)
        found = f"{row.reference_differences} differences from the references, {row.model_differences} from PyTorch"
        driver.say(f"[{index + 1}/{len(networks)}] {network}: {status or found}{'' if row.passed else ' -- FAILED'}")
    return rows


def _nothing() -> dict[str, Any]:
    """The counts of a network that was not compared."""
    counts = (field for field in fields(ProofRow) if field.name not in ("network", "status", *Stamp.__annotations__))
    return {field.name: "" if field.type is str else 0 for field in counts}
