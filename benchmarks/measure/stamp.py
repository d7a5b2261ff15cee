"""The stamp of rows measured here and now, and the folder of this CPU's results."""

import subprocess
from datetime import date
from pathlib import Path

from benchmarks.measure.environments import ROOT
from benchmarks.rows import Stamp, cpu_folder
from bittern.cli._machine import cpu_name, this_machine


def this_stamp(machine: str = "") -> Stamp:
    """``machine``: a device other than this machine's CPU."""
    return {"machine": machine or str(this_machine()), "revision": revision(), "date": date.today().isoformat()}


def this_cpu_folder() -> str:
    """Name of the folder in ``results`` that belongs to this CPU."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    flags = next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), [])
    return cpu_folder(cpu_name(), flags)


def revision() -> str:
    """The commit that is measured, with a plus if code has changed since."""
    git = ["git", "-C", str(ROOT)]
    commit = subprocess.run([*git, "describe", "--always"], capture_output=True, text=True, check=False).stdout.strip()
    code = ["native", "src", "benchmarks", ":!benchmarks/results", ":!benchmarks/README.md"]
    changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", *code], check=False).returncode
    return (commit or "unknown") + ("+" if changed else "")
