"""Results by CPU: figures of speed lie in one folder for each microarchitecture."""

import re
from collections.abc import Collection
from pathlib import Path

_TITLES = {
    "zen4": "AMD Zen 4",
    "zen5": "AMD Zen 5",
    "sapphire-rapids": "Intel Sapphire Rapids",
    "granite-rapids": "Intel Granite Rapids",
}


def cpu_title(folder: str) -> str:
    return _TITLES.get(folder, folder)


def cpu_folder(name: str, flags: Collection[str]) -> str:
    """The folder of a CPU.

    Intel's virtual machines hide the model behind one name, so its servers are told apart by what they can do: AMX came
    with Sapphire Rapids (Emerald Rapids has the same instructions), AMX on float16 with Granite Rapids.

    Args:
        name: as ``bittern`` names it: AMD's ends with its generation, "AMD EPYC (Zen 4)".
        flags: of /proc/cpuinfo.
    """
    generation = re.search(r"\((Zen[^)]*)\)$", name)
    if generation:
        return generation.group(1).lower().replace(" ", "")
    if "amx_int8" in flags:
        return "granite-rapids" if "amx_fp16" in flags else "sapphire-rapids"
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def cpu_folders(results: Path) -> list[Path]:
    """The folders in ``results`` that hold CSV files: the CPUs that were measured."""
    return sorted({path.parent for path in results.glob("*/*.csv")})
