"""The whole demo, once."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bittern.cli.demo.result import MIN_ACCURACY
from bittern.runtime import supported_isas


@pytest.mark.slow
def test_the_demo_keeps_its_promises(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    code = "import sys; from bittern.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "demo", "--out", str(out), "--study", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["passed"] is True
    assert result["problems"] == []
    for accuracy in (result["binary"]["accuracy"], result["binary"]["pytorch_accuracy"]):
        assert accuracy >= MIN_ACCURACY
    assert [check["isa"] for check in result["instruction_sets"]] == list(reversed(supported_isas()))
    for check in result["instruction_sets"]:
        assert check["equal_predictions"] == check["images"] == result["test_images"]
        assert check["reference_differences"] == 0
        assert check["accuracy"] == result["binary"]["accuracy"]
    assert result["size_ratio"] > 10
    assert (out / "digits.pte").stat().st_size == result["binary"]["size"]
    assert (out / "digits-float.pte").stat().st_size == result["float"]["size"]
    assert (out / "digits" / "model.safetensors").is_file()
    assert [len(rows) for rows in result["training"].values()] == [
        len((out / recipe / "log.csv").read_text().splitlines()) - 1 for recipe in ("digits", "digits-float")
    ]
    assert {layer["path"] for layer in result["layers"]} >= {f"blocks.{i}.conv" for i in range(6)}
    assert all(layer["seconds"] > 0 for layer in result["layers"])
    assert result["study"] == str(out / "study.html")
    studied = (out / "study.html").read_text("utf-8")
    assert all(name in studied for name in ("digits-float", "Which signs flip", "Diagnosis"))
    assert result["report"] == str(out / "demo.html")
    page = (out / "demo.html").read_text("utf-8")
    assert page.count("data:image/png;base64,") >= 24
    # Nothing is fetched from anywhere.
    assert not re.findall(r"<script|<link|@import|url\((?!#)", page)
    assert all(source.startswith("data:") for source in re.findall(r'src="([^"]*)"', page))
    assert all(target.startswith("#") for target in re.findall(r'href="([^"]*)"', page))
