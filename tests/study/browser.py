"""A page in a real browser: headless Chromium, through nothing but its command line."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here: apt-get install chromium")

# Runs in the page when it has loaded, and leaves what it finds where --dump-dom shows it.
_LOOK = """
<script>
window.addEventListener("load", () => {
  const blank = [...document.querySelectorAll("figure")].filter(f => {
    const box = f.querySelector("svg").getBoundingClientRect();
    const images = [...f.querySelectorAll("image")];
    const marks = f.querySelectorAll("path, use, image, polyline").length;
    const text = [...f.querySelectorAll("text")].every(t => t.getBoundingClientRect().width > 0);
    return box.width < 200 || box.height < 80 || marks < 3 || !text ||
      images.some(i => !(i.href.baseVal.startsWith("data:image/png") && i.getBoundingClientRect().width > 4));
  });
  const page = document.documentElement;
  const root = window.parent.document.documentElement;
  const body = getComputedStyle(document.body);
  root.setAttribute("data-figures", document.querySelectorAll("figure svg").length);
  root.setAttribute("data-blank", blank.map(f => f.id).join(" "));
  root.setAttribute("data-overflow", page.scrollWidth - page.clientWidth);
  const asked = performance.getEntriesByType("resource").filter(e => !e.name.startsWith("data:"));
  root.setAttribute("data-requests", asked.length);
  root.setAttribute("data-background", body.backgroundColor);
  const tick = document.querySelector("figure svg text");
  root.setAttribute("data-ink", tick ? getComputedStyle(tick).fill : "");
});
</script>
"""


@dataclass(frozen=True)
class Seen:
    """What a browser made of a page.

    ``console``: lines of the console that are errors or warnings. ``blank``: figures in which nothing is to be seen.
    ``overflow``: pixels by which the page is wider than the window. ``requests``: for anything outside the page.
    """

    console: list[str]
    figures: int
    blank: list[str]
    overflow: int
    requests: int
    background: str
    ink: str


def look(page: Path, folder: Path, *, width: int = 1280, dark: bool = False) -> Seen:
    """Opens a copy of ``page``, with a script that looks around in it."""
    assert CHROMIUM is not None
    copy = folder / "seen.html"
    copy.write_text(page.read_text("utf-8").replace("</body>", _LOOK + "</body>"), "utf-8")
    # A window is never narrower than 500 pixels; a frame in it may be.
    frame = folder / "frame.html"
    frame.write_text(
        f'<!doctype html><body style="margin:0"><iframe src="seen.html" style="border:0;width:{width}px;height:900px">'
        "</iframe></body>"
    )
    command = [
        CHROMIUM,
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        "--no-first-run",
        "--allow-file-access-from-files",
        f"--user-data-dir={folder / 'profile'}",
        f"--window-size={max(width, 600)},900",
        "--enable-logging=stderr",
        "--virtual-time-budget=10000",
        *(["--blink-settings=preferredColorScheme=0"] if dark else []),
        "--dump-dom",
        copy.as_uri() if width >= 600 else frame.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    dom = done.stdout
    found = dict(re.findall(r' data-([a-z]+)="([^"]*)"', dom[: dom.index("<head")]))
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return Seen(
        console,
        int(found["figures"]),
        found["blank"].split(),
        int(found["overflow"]),
        int(found["requests"]),
        found["background"],
        found["ink"],
    )
