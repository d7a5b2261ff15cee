"""From a trained run to a model file: shared by the commands that export."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bittern.export.program import Export
    from bittern.train import Run


@dataclass(frozen=True)
class Deployed:
    """What was written, and the warnings that the exporter gave."""

    export: "Export"
    warnings: tuple[str, ...]


def export_run(run: "Run", path: Path) -> Deployed:
    """Writes the network of ``run`` to ``path``, one image at a time, with the run's class names and preprocessing.

    Raises:
        ExportError: the network cannot be exported.
        OSError: the file cannot be written.
    """
    import torch

    from bittern.export.errors import ExportWarning
    from bittern.export.program import to_pte
    from bittern.runtime import Preprocessing

    info = run.info
    rule = info.preprocessing
    if not path.absolute().parent.is_dir():
        raise ValueError(f"there is no folder {path.absolute().parent} to write {path.name} into; make it first")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", ExportWarning)
        export = to_pte(
            run.model,
            torch.zeros(1, *info.input_shape),
            path,
            name=info.model,
            class_names=info.class_names,
            preprocessing=Preprocessing(rule.scale, rule.mean, rule.std),
        )
    return Deployed(export, tuple(str(warning.message) for warning in caught))
