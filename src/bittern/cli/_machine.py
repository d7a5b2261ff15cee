"""What this machine is, recorded beside every figure that depends on it."""

import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Machine:
    """``cores``: how many this process may use."""

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


def cpu_name() -> str:
    """The CPU's name, with its generation if the name leaves it open: ``AMD EPYC (Zen 4)``."""
    facts = _cpuinfo()
    generation = ""
    if facts.get("vendor_id") == "AuthenticAMD":
        family, model = int(facts["cpu family"]), int(facts["model"])
        generation = next((name for name, of, models in _AMD if family == of and model in models), "")
    return f"{_cpu()} ({generation})" if generation else _cpu()


def _cpu() -> str:
    """From /proc on Linux, from Python elsewhere."""
    names = _cpuinfo()
    return names.get("model name") or platform.processor() or platform.machine()


def _cpuinfo() -> dict[str, str]:
    """Facts about the first core; empty without /proc."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    facts = dict(line.split(":", 1) for line in reversed(lines) if ":" in line)
    return {key.strip(): value.strip() for key, value in facts.items()}


_AMD = (
    ("Zen 5", 26, range(256)),
    ("Zen 4", 25, (*range(0x10, 0x20), *range(0x60, 0x80), *range(0xA0, 0xB0))),
    ("Zen 3", 25, range(256)),
    ("Zen 2", 23, range(0x30, 256)),
    ("Zen", 23, range(0x30)),
)
"""Generation, family, models; the first matching row applies."""
