"""Pages that are generated from the results, and the figures that READMEs quote."""

import re
from pathlib import Path

import pytest

from benchmark_rows import STAMP, layer_row, network_row
from benchmarks.rows import RESULTS, cpu_folders, write
from benchmarks.tables import headline, report
from benchmarks.tables.markdown import caption, generated_part, replace_part


@pytest.mark.parametrize("folder", cpu_folders(RESULTS), ids=lambda folder: folder.name)
def test_the_pages_of_a_cpu_are_made_from_its_rows(folder: Path) -> None:
    assert {path.name: path.read_text() for path in folder.glob("*.md")} == report.cpu_pages(folder)


def test_the_page_of_optimizers_is_made_from_its_rows() -> None:
    assert (RESULTS / "optimizers.md").read_text() == report.optimizer_page(RESULTS)


def test_the_generated_parts_of_the_readme_are_made_from_the_rows() -> None:
    for marker, text in report.readme_parts(RESULTS).items():
        assert generated_part(report.README, marker) == text


def test_only_what_stands_between_the_markers_is_replaced(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before <!-- a -->\n\nold\n<!-- end of a --> after <!-- b -->\n\nkept\n<!-- end of b -->")
    replace_part(page, "a", "new")
    assert page.read_text() == "before <!-- a -->\n\nnew\n<!-- end of a --> after <!-- b -->\n\nkept\n<!-- end of b -->"
    assert generated_part(page, "a") == "new"
    with pytest.raises(ValueError, match=r"page.md .*<!-- c -->"):
        replace_part(page, "c", "new")


def test_a_caption_says_what_was_not_recorded() -> None:
    row = layer_row("bittern", 1.0)
    assert caption([row]) == "a machine, x86_64; revision abc; 2026-12-01."
    unknown = type(row)(**{**vars(row), **STAMP, "revision": "", "date": "2026-11-30"})
    assert caption([unknown]) == "a machine, x86_64; revision not recorded; 2026-11-30."
    assert caption([row, unknown]) == "a machine, x86_64; revision abc; 2026-11-30 to 2026-12-01."


def test_figures_are_found_by_name(tmp_path: Path) -> None:
    networks = [network_row("quicknet", "binary", "Bittern", 2.0), network_row("resnet-18", "int8", "OpenVINO", 8.0)]
    networks += [network_row("quicknet", "binary", "Larq indirect", 20.0)]
    write(tmp_path / "zen4" / "networks.csv", networks)
    write(tmp_path / "zen4" / "layers-3x3.csv", [layer_row("bittern", 50.0), layer_row("float XNNPACK", 500.0)])
    figures = headline.figures("zen4", tmp_path)
    assert figures["layers: packed in, times faster than the best float"] == pytest.approx(10)
    assert figures["quicknet, binary, ms"] == 2.0
    assert figures["resnet-18, int8, ms"] == 8.0
    assert figures["quicknet, Larq, ms"] == 20.0
    assert "| QuickNet, ms | 2.00 |" in headline.headline_table(tmp_path)
    assert "| MobileNetV2, int8, ms | not measured |" in headline.headline_table(tmp_path)


def test_every_row_of_the_headline_table_has_a_figure() -> None:
    assert "| not measured | not measured |" not in headline.headline_table(RESULTS)


@pytest.mark.parametrize("page", [report.README, *sorted(RESULTS.rglob("*.md"))], ids=lambda path: str(path.name))
def test_every_page_and_picture_that_is_linked_exists(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)", page.read_text()):
        assert (page.parent / target).exists(), target
