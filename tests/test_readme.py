"""The README: its example runs as printed, its figures are those of the benchmarks, its links lead somewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.tables.demo import demo_table
from benchmarks.tables.headline import figures

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = [README, *ROOT.glob("[A-Z]*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "benchmarks" / "README.md"]
MACHINE = "sapphire-rapids"

QUOTED = [
    ("QuickNet takes {:.2f} ms for", MACHINE, "quicknet, binary, ms"),
    ("for {:.1f} %, int8 MobileNetV2", MACHINE, "quicknet, binary, top-1"),
    ("of half the width {:.2f} ms for", MACHINE, "mobilenet-v2-0.5, int8, ms"),
    ("for {:.1f} % in OpenVINO", MACHINE, "mobilenet-v2-0.5, int8, top-1"),
    ("run {:.1f} times faster on bits than", "zen4", "layers: packed in, times faster than the best float"),
    ("and {:.1f} times faster than in the fastest int8", "zen4", "layers: packed in, times faster than the best int8"),
    ("takes {:.1f} ms for QuickNet", MACHINE, "quicknet, Larq, ms"),
]
"""Text of the README -> the CPU's folder and the name of the figure in it."""


def section(title: str) -> str:
    text = README.read_text().partition(f"\n## {title}")[2].partition("\n## ")[0]
    return " ".join(text.split())


@pytest.mark.slow
def test_the_example_runs_as_printed(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    done = subprocess.run([sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (printed,) = re.findall(r"It prints (0\.\d+)", README.read_text())
    # Sums in another order, as other CPUs compute them, train another network.
    assert float(done.stdout) == pytest.approx(float(printed), abs=0.04)
    assert done.stderr == ""
    assert [file.name for file in tmp_path.iterdir()] == ["net.pte"]


def test_figures_of_speed_and_accuracy_are_those_of_the_benchmarks() -> None:
    text = section("When to use it, and when not")
    quoted = [template.format(figures(cpu)[name]) for template, cpu, name in QUOTED]
    assert [each for each in quoted if each not in text] == []
    figure = r"\d[\d.]* (?:ms|us|%|times)"
    assert sorted(re.findall(figure, text)) == sorted(re.findall(figure, " ".join(quoted)))


def test_the_demo_table_is_that_of_a_run() -> None:
    table = README.read_text().partition("<!-- demo -->\n")[2].partition("<!-- end of demo -->")[0]
    assert table == demo_table(MACHINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_page_that_is_linked_exists(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"
