"""The table in which the demo ends."""

from rich.console import Group
from rich.text import Text

from bittern.cli._output import bytes_text, count_text, percent_text, seconds_text, table
from bittern.cli.demo.result import DemoResult


def render(result: DemoResult) -> Group:
    binary, twin = result.binary, result.twin
    figures = table(["", ">Binary", ">Float twin", ">Ratio"])
    for name, left, right, ratio in (
        ("accuracy in PyTorch", percent_text(binary.pytorch_accuracy), percent_text(twin.pytorch_accuracy), ""),
        ("accuracy in the engine", percent_text(binary.accuracy), percent_text(twin.accuracy), ""),
        (
            "same predictions in both",
            f"{binary.equal_predictions} of {result.images}",
            f"{twin.equal_predictions} of {result.images}",
            "",
        ),
        (
            "largest logit difference",
            f"{binary.largest_logit_difference:.1e}",
            f"{twin.largest_logit_difference:.1e}",
            "",
        ),
        ("file", bytes_text(binary.size), bytes_text(twin.size), f"{result.size_ratio:.1f} x smaller"),
        ("latency, 1 image, 1 thread", seconds_text(binary.latency), seconds_text(twin.latency), _speed(result)),
        ("spread of the latency", f"{binary.spread:.1%}", f"{twin.spread:.1%}", ""),
    ):
        figures.add_row(name, left, right, ratio)
    checks = table(["Kernels", ">Same predictions", ">Differ from reference", ">Bits differ from PyTorch's"])
    for check in result.verifications:
        checks.add_row(
            check.isa,
            f"{check.equal_predictions} of {check.images}",
            f"{count_text(check.reference_differences)} of {count_text(result.values_compared)}",
            count_text(check.model_differences),
        )
    where = f"on {result.machine}; timed with {result.isa} kernels against XNNPACK, interleaved, single-threaded"
    return Group(figures, checks, Text(where, style="dim"))


def _speed(result: DemoResult) -> str:
    ratio = result.speed_ratio
    return f"{ratio:.1f} x faster" if ratio >= 1 else f"{1 / ratio:.1f} x slower"
