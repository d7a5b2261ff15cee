"""The figures that README.md and benchmarks/README.md quote, by name, straight from the CSV files."""

from pathlib import Path

from benchmarks.rows import RESULTS, cpu_folders, cpu_title
from benchmarks.tables import frontier
from benchmarks.tables.layers import key_ratios
from benchmarks.tables.markdown import table
from benchmarks.tables.networks import fastest, larq_ms


def figures(cpu: str, results: Path = RESULTS) -> dict[str, float]:
    """Every figure of one CPU's folder.

    "layers: ...": ratios of times, above 1 where Bittern is faster. "NETWORK, PRECISION, ms": of the fastest engine on
    one thread; "quicknet, Larq, ms": in Larq Compute Engine. "NETWORK, PRECISION, top-1": published, in percent.
    """
    folder = results / cpu
    found, larq = frontier.frontier(folder), larq_ms(folder)
    return {
        **{f"layers: {text}": ratio for text, ratio in key_ratios(folder).items()},
        **({} if larq is None else {"quicknet, Larq, ms": larq}),
        **{f"{network}, {precision}, ms": row.median_ms for (network, precision), row in fastest(folder).items()},
        **{f"{row.network}, {row.precision}, top-1": row.top1 for row in (found.entries if found else ())},
    }


_ROWS = {
    "3x3 layers of ResNet-18: times faster than the best float": "layers: packed in, times faster than the best float",
    "3x3 layers of ResNet-18: times faster than the best int8": "layers: packed in, times faster than the best int8",
    "QuickNet, ms": "quicknet, binary, ms",
    "ReActNet-A, ms": "reactnet-a, binary, ms",
    "MobileNetV2 x0.5, int8, ms": "mobilenet-v2-0.5, int8, ms",
    "MobileNetV2, int8, ms": "mobilenet-v2, int8, ms",
    "ResNet-18, int8, ms": "resnet-18, int8, ms",
    "ResNet-18, float, ms": "resnet-18, float, ms",
    "QuickNet in Larq Compute Engine, ms": "quicknet, Larq, ms",
}
"""Text of the headline table -> name of the figure."""


def headline_table(results: Path = RESULTS) -> str:
    """A column for each CPU whose networks were measured."""
    folders = [folder for folder in cpu_folders(results) if (folder / "networks.csv").exists()]
    columns = [figures(folder.name, results) for folder in folders]
    lines = [
        [text, *(f"{c[name]:.2f}" if name in c else "not measured" for c in columns)] for text, name in _ROWS.items()
    ]
    return table(["", *(cpu_title(folder.name) for folder in folders)], lines)


def frontier_part(results: Path = RESULTS) -> str:
    """Verdict, plot and short table of every CPU."""
    parts = []
    for folder in cpu_folders(results):
        found = frontier.frontier(folder)
        if found:
            picture = f"![Accuracy against latency on {found.cpu}](results/{folder.name}/frontier.svg)"
            parts.append(f"{frontier.verdict(found)}\n\n{picture}\n\n{frontier.frontier_table(found, short=True)}")
    return "\n".join(parts)
