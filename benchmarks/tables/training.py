"""Tables of how long training takes: steps of networks, and steps of optimizers."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.measure.steps import FOREACH, FUSED, NETWORK
from benchmarks.rows import StepRow, TrainingRow, read
from benchmarks.tables.markdown import caption, section, table


def sections(folder: Path) -> list[str]:
    return [_networks(read(folder / "training.csv", TrainingRow)), _optimizers(read(folder / "steps.csv", StepRow))]


def _networks(rows: Sequence[TrainingRow]) -> str:
    if not rows:
        return ""
    header = ["network", "binary, images/s", "float twin, images/s", "time of a step, binary / float"]
    header += ["speed-up by torch.compile"]
    lines = []
    for row in rows:
        rates = [f"{1e3 * row.batch / ms:.3g}" for ms in (row.binary_ms, row.float_ms)]
        compiled = f"{row.binary_ms / row.compiled_binary_ms:.2f}" if row.compiled_binary_ms else "-"
        name = f"`{row.model}`, {row.image_size}x{row.image_size}, batch {row.batch}"
        lines.append([name, *rates, f"{row.binary_ms / row.float_ms:.2f}", compiled])
    text = f"{caption(rows)} torch {rows[0].torch}, one thread. Forward, backward and Adam's update."
    return section("Training steps", text, table(header, lines))


def _optimizers(rows: Sequence[StepRow]) -> str:
    if not rows:
        return ""
    baselines = [(name, row.median_ms) for name in (FUSED, FOREACH) for row in rows if row.optimizer == name]
    header = ["optimizer", "ms", "quartiles", *(f"to {name}" for name, _ in baselines), "state, bytes a parameter"]
    lines = [
        [
            row.optimizer,
            f"{row.median_ms:.1f}",
            f"{row.low_ms:.1f} to {row.high_ms:.1f}",
            *(f"{row.median_ms / baseline:.2f}" for _, baseline in baselines),
            f"{row.state_bytes / row.parameters:.1f}",
        ]
        for row in rows
    ]
    first = rows[0]
    text = (
        f"{caption(rows)} torch {first.torch}, {first.threads} thread{'s' if first.threads > 1 else ''}, the "
        f"{first.parameters:,} parameters of {NETWORK}, {first.rounds} interleaved rounds."
    )
    return section("Steps of optimizers", text, table(header, lines))
