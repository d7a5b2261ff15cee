"""An HTML page as a test sees it."""

from html.parser import HTMLParser
from pathlib import Path

from bittern.study.read import read_study
from bittern.study.report import Report
from bittern.study.report.charts import CHARTS

REFERENCES = {"src", "href", "xlink:href", "data", "action", "srcset", "poster"}
VOID = {"meta", "link", "br", "img", "input", "hr"}

NEED_MORE = [chart for chart in CHARTS if chart.name in ("agreement", "oscillating", "c2i_references")]
"""Charts that need a probe, more steps than the run's 44, or references."""


class Page(HTMLParser):
    """Titles of figures, ids, references, and whether every element is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.tags: list[str] = []
        self.labels: list[str] = []
        self.feed(html)
        self.close()

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._see(tag, attrs)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._see(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def _see(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in REFERENCES:
                self.references.append(value or "")
            if name == "aria-label":
                self.labels.append(value or "")


def page_of(*folders: Path, toys: bool = False) -> tuple[str, Page]:
    html = Report([read_study(folder) for folder in folders], toys=toys).html()
    return html, Page(html)
