"""What ``bittern demo`` finds, as rows: ``python -m benchmarks demo``."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.measure.stamp import this_stamp
from benchmarks.rows import DemoRow


def measure() -> list[DemoRow]:
    """Runs the demo in a process of its own. Raises CalledProcessError if it finds something wrong."""
    with tempfile.TemporaryDirectory() as folder:
        command = [str(Path(sys.executable).with_name("bittern")), "demo", "--out", f"{folder}/demo", "--json"]
        return rows(json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout))


def rows(demo: dict[str, Any]) -> list[DemoRow]:
    """The rows of what ``bittern demo --json`` printed."""
    sets = demo["instruction_sets"]
    return [
        DemoRow(
            network=network,
            images=demo["test_images"],
            pytorch_accuracy=demo[network]["pytorch_accuracy"],
            accuracy=demo[network]["accuracy"],
            equal_predictions=demo[network]["equal_predictions"],
            isas=len(sets) if network == "binary" else 0,
            values=sum(layer["values"] for layer in sets[0]["layers"]) if network == "binary" else 0,
            differences=sum(each["reference_differences"] for each in sets) if network == "binary" else 0,
            file_bytes=demo[network]["size"],
            median_us=demo[network]["latency"] * 1e6,
            spread=demo[network]["spread"],
            **this_stamp(),
        )
        for network in ("binary", "float")
    ]
