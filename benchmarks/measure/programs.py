"""Model files: which engine reads them, what they are built from, and the columns that time them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.measure.driver import Column, Driver, RequestError
from benchmarks.measure.environments import MODELS, ROOT, UnavailableError

BUILDERS = "benchmarks/measure/build_models"
NETWORKS = "benchmarks/measure/networks"
EXPORTER = (NETWORKS, "src/bittern/export", "src/bittern/models", "src/bittern/nn", "src/bittern/ops")
"""What the programs of Bittern's networks depend on."""


@dataclass(frozen=True)
class Entry:
    """An engine that takes part, and the model files that it reads.

    ``engine`` and ``builder`` are modules of `measure.engines` and `measure.build_models`; both run in ``environment``.
    """

    name: str
    environment: str
    engine: str
    builder: str
    form: str
    suffix: str
    options: tuple[tuple[str, bool], ...] = ()
    variables: tuple[tuple[str, str], ...] = ()


def build_column(
    driver: Driver,
    entry: Entry,
    subject: dict[str, Any],
    *,
    stem: str,
    sources: Sequence[str],
    name: str = "",
    threads: int = 1,
) -> Column:
    """The column of ``entry`` for ``subject``, its model file built; with a reason where that fails.

    The file is named by ``stem`` and by a digest of ``sources``, files or folders below the project's root.
    """
    path = MODELS / f"{stem}-{entry.form}-{source_digest(*sources)}{entry.suffix}"
    reason = ""
    try:
        driver.build(entry.environment, entry.builder, {"form": entry.form, **subject}, path)
    except (UnavailableError, RequestError) as error:
        reason = str(error)
    options = dict(entry.options)
    return Column(
        name or entry.name, entry.environment, entry.engine, path, threads, options, entry.variables, reason=reason
    )


def source_digest(*sources: str) -> str:
    """Of the code below ``sources``, so that stale model files are not used."""
    digest = hashlib.sha256()
    for source in sources:
        place = ROOT / source
        for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if path.suffix in (".py", ".cc", ".h", ".inc"):
                digest.update(path.read_bytes())
    return digest.hexdigest()[:8]
