"""``resume``: a run goes on as it was started."""

from pathlib import Path
from typing import Any

from torch import nn

from bittern.data import Dataset
from bittern.train.errors import RunError
from bittern.train.launch import read_launch
from bittern.train.runner import RunResult, run


def resume(
    folder: str | Path,
    *,
    data: str | Path | Dataset | None = None,
    teacher: str | Path | nn.Module | None = None,
    **options: Any,
) -> RunResult:
    """Continues the run in ``folder`` with the settings that it was started with.

    Args:
        data, teacher: as those of `run`, where they have moved or were given as objects.
        options: ``progress``, ``checkpoint_seconds``, ``accelerator``, ``workers`` and ``observers`` of `run`.

    Raises:
        RunError: the folder does not say how the run was started, or it was started from Python with objects that are
            missing here. Otherwise as `run`.
    """
    launch = read_launch(Path(folder))
    for name, value in (("data", data), ("teacher", teacher)):
        if value is None and name in launch.from_python:
            raise RunError(
                f"the run in {folder} was started from Python with {name} of its own: resume it there, by "
                f"bittern.train.resume({str(folder)!r}, {name}=...)"
            )
    return run(
        launch.recipe,
        launch.data if data is None else data,
        folder,
        seed=launch.seed,
        resume=True,
        teacher=launch.teacher if teacher is None else teacher,
        start=launch.start,
        modules=launch.modules,
        **options,
    )
