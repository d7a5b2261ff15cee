"""The table of the README: the demo's two networks side by side."""

from pathlib import Path

from benchmarks.rows import RESULTS, DemoRow, read
from benchmarks.tables.markdown import table


def demo_table(cpu: str, results: Path = RESULTS) -> str:
    binary, twin = read(results / cpu / "demo.csv", DemoRow)
    both = (binary, twin)
    smaller, faster = twin.file_bytes / binary.file_bytes, twin.median_us / binary.median_us
    lines = [
        ["accuracy on unseen digits, PyTorch", *(f"{row.pytorch_accuracy:.2%}" for row in both), ""],
        ["accuracy on unseen digits, engine", *(f"{row.accuracy:.2%}" for row in both), ""],
        ["same predictions in both", *(f"{row.equal_predictions} of {row.images}" for row in both), ""],
        [
            f"bits and floats that differ from the reference, on {binary.isas} instruction sets",
            f"{binary.differences:,} of {binary.isas} x {binary.values:,}",
            "",
            "",
        ],
        [
            "file",
            *(f"{row.file_bytes / 1e3:,.0f} kB" for row in both),
            f"{smaller:.1f}x smaller",
        ],
        [
            "one image, one thread",
            *(f"{row.median_us:.0f} us" for row in both),
            f"{faster:.1f}x faster",
        ],
    ]
    return table(["", "binary", "float twin", ""], lines)
