"""Prints the requirements of extras of pyproject.toml, one per line: ``python scripts/requirements.py train dev``."""

import sys
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]
for extra in sys.argv[1:]:
    print(
        *(line.replace(" ", "") for line in project["optional-dependencies"][extra] if "bittern[" not in line), sep="\n"
    )
print(*(line.replace(" ", "") for line in project["dependencies"]), sep="\n")
