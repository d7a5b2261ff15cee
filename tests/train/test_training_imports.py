import subprocess
import sys

import pytest


@pytest.mark.parametrize("package", ["nn", "models", "data", "train"])
def test_training_needs_neither_the_engine_nor_the_exporter(package: str) -> None:
    code = f"""
import sys, bittern.{package}
loaded = [m for m in sys.modules if m.split(".")[0] in ("executorch", "torchao") or m.startswith("bittern.runtime")]
assert not loaded, loaded
"""
    subprocess.run([sys.executable, "-c", code], check=True)
