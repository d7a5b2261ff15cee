"""Every page and plot, from the CSV files alone: ``python -m benchmarks report``."""

from collections.abc import Callable
from pathlib import Path

from benchmarks.rows import RESULTS, cpu_folders, cpu_title
from benchmarks.tables import (
    adam_study,
    frontier,
    headline,
    kernels,
    layers,
    macs,
    networks,
    optimizers,
    plots,
    training,
)
from benchmarks.tables.markdown import page, replace_part

README = Path(__file__).parents[1] / "README.md"

_PAGES: dict[str, tuple[str, Callable[[Path], list[str]], tuple[str, ...]]] = {
    "layers.md": ("Layers", layers.sections, ("layers.svg", "roofline.svg")),
    "kernels.md": ("Kernels", kernels.sections, ()),
    "networks.md": ("Networks", networks.sections, ()),
    "frontier.md": ("Accuracy against latency", frontier.sections, ("frontier.svg",)),
    "macs.md": ("MACs, shortcuts, padding and the stem", macs.sections, ("macs.svg", "split.svg")),
    "training.md": ("Training", training.sections, ()),
}
"""File -> title, sections, plots."""


def cpu_pages(folder: Path) -> dict[str, str]:
    """Name -> text of the pages of one CPU, as far as it was measured."""
    drawn, pages = plots.plots(folder), {}
    for file, (title, sections, pictures) in _PAGES.items():
        shown = "".join(f"![{Path(each).stem}]({each})\n" for each in pictures if each in drawn)
        pages[file] = page(f"{title}: {cpu_title(folder.name)}", [*sections(folder), shown])
    return {file: text for file, text in pages.items() if text}


def optimizer_page(results: Path) -> str:
    return page("Optimizers", optimizers.sections(results))


def readme_parts(results: Path) -> dict[str, str]:
    """Marker -> text of what is generated in benchmarks/README.md."""
    return {"headline": headline.headline_table(results), "frontier": headline.frontier_part(results)}


def write_cpu(folder: Path) -> None:
    """The pages and plots of one CPU, beside its CSV files."""
    for file, text in cpu_pages(folder).items():
        (folder / file).write_text(text)
    plots.draw(folder)


def write_all(results: Path = RESULTS, readme: Path = README) -> None:
    for folder in cpu_folders(results):
        write_cpu(folder)
    (results / "optimizers.md").write_text(optimizer_page(results))
    optimizers.draw(results)
    adam_study.write(results)
    for marker, text in readme_parts(results).items():
        replace_part(readme, marker, text)
