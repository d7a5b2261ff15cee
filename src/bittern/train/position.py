"""How far a run has come."""

from dataclasses import asdict, dataclass, field
from typing import Any

from bittern._fields import Fields


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
        """Reads what ``to_json`` returned; ValueError names the field that is missing or wrong."""
        fields = Fields(value, "the position")
        counts = {name: fields.integer(name) for name in ("stage", "epoch", "batch", "step")}
        if min(counts.values()) < 0:
            raise ValueError(f"the position has a number below 0: {counts}")
        return Position(
            **counts,
            seconds=fields.number("seconds"),
            waited=fields.number("waited"),
            history=[dict(row.entries) for row in fields.objects("history")],
        )
