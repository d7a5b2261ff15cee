"""The report in headless Chromium, narrow and wide, light and dark."""

import re
from pathlib import Path

import pytest

from bittern.study.report.charts import CHARTS, TOYS
from study.browser import look, needs_chromium
from study.page import NEED_MORE, Page


@needs_chromium
@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_a_browser_shows_every_figure_without_a_complaint(
    width: int, dark: bool, drawn: tuple[str, Page], tmp_path: Path
) -> None:
    page = tmp_path / "study.html"
    page.write_text(drawn[0], "utf-8")
    seen = look(page, tmp_path, width=width, dark=dark)
    assert seen.console == []
    assert seen.figures == len(CHARTS) + len(TOYS) - len(NEED_MORE)
    assert seen.blank == []
    assert seen.overflow == 0
    assert seen.requests == 0
    light = sum(map(int, re.findall(r"\d+", seen.background)[:3])) > 3 * 128
    assert light != dark
    assert (sum(map(int, re.findall(r"\d+", seen.ink)[:3])) > 3 * 115) == dark  # text of the charts is legible on it


@needs_chromium
@pytest.mark.slow
def test_the_browser_sees_a_page_that_is_wrong(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(
        '<html><head></head><body><figure id="empty"><svg width="10"></svg></figure>'
        '<div style="width:3000px">wide</div><script>console.error("wrong")</script></body></html>'
    )
    seen = look(page, tmp_path)
    assert len(seen.console) == 1
    assert seen.blank == ["empty"]
    assert seen.overflow > 0
