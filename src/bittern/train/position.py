"""How far a run has come."""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Position:
    """A run stands before batch ``batch`` of epoch ``epoch`` of stage ``stage``, each counted from 0.

    Attributes:
        step: optimizer steps since the start of the run.
        seconds: time spent on the current epoch; ``waited`` is the part of it spent waiting for data.
        history: the row of ``log.csv`` of every finished epoch.
    """

    stage: int = 0
    epoch: int = 0
    batch: int = 0
    step: int = 0
    seconds: float = 0.0
    waited: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(value: dict[str, Any]) -> "Position":
        return Position(**{name: value[name] for name in Position.__dataclass_fields__})
