"""What this machine calls itself, for figures that depend on it."""

import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Machine:
    """``cores`` are those that this process may use."""

    cpu: str
    cores: int
    system: str

    def __str__(self) -> str:
        return f"{self.cpu}, {self.cores} core{'s' if self.cores != 1 else ''}, {self.system}"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def this_machine() -> Machine:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Machine(_cpu(), cores, f"{platform.system()} {platform.machine()}")


def _cpu() -> str:
    """Linux tells the name in /proc; elsewhere Python knows what there is to know."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    facts = dict(line.split(":", 1) for line in reversed(lines) if ":" in line)
    names = {key.strip(): value.strip() for key, value in facts.items()}
    return names.get("model name") or platform.processor() or platform.machine()
