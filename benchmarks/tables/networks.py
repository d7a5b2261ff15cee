"""Tables of whole networks: latency, where the time goes, and the proof that the programs compute the right thing."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.rows import NetworkRow, ProofRow, SplitRow, read
from benchmarks.tables.markdown import Cells, caption, caption_of_engines, section, table


def sections(folder: Path) -> list[str]:
    return [
        _latencies(read(folder / "networks.csv", NetworkRow)),
        _splits(read(folder / "networks-split.csv", SplitRow)),
        _proof(read(folder / "proof.csv", ProofRow)),
    ]


def fastest(folder: Path) -> dict[tuple[str, str], NetworkRow]:
    """The fastest measured engine of every (network, precision), on one thread."""
    rows = [row for row in read(folder / "networks.csv", NetworkRow) if row.threads == 1 and not row.status]
    rows.sort(key=lambda row: row.median_ms, reverse=True)
    return {(row.network, row.precision): row for row in rows}


def larq_ms(folder: Path) -> float | None:
    """Milliseconds of QuickNet in Larq Compute Engine, its fastest setting, on one thread."""
    rows = [row for row in read(folder / "networks.csv", NetworkRow) if row.threads == 1 and not row.status]
    return min((row.median_ms for row in rows if row.engine.startswith("Larq")), default=None)


def _is_own_quicknet(row: NetworkRow) -> bool:
    return row.network == "quicknet" and row.engine == "Bittern"


def _latencies(rows: Sequence[NetworkRow]) -> str:
    """Every network beside Bittern's QuickNet on the same number of threads."""
    if not rows:
        return ""
    own = {row.threads: row for row in rows if _is_own_quicknet(row)}
    header = ["network", "precision", "engine", "1 thread ms", "spread", "to QuickNet"]
    header += ["2 threads ms", "spread", "gain", "to QuickNet", "load ms", "memory MiB", "file MiB"]
    two = {(row.network, row.precision, row.engine): row for row in rows if row.threads == 2 and not row.status}
    lines = []
    for row in [row for row in rows if row.threads == 1]:
        name = (row.network, row.precision, row.engine)
        if row.status:
            lines.append([*name, row.status, *["-"] * (len(header) - 4)])
            continue
        cells = [f"{row.median_ms:.2f}", f"{row.spread:.1%}", _times(row, own)]
        if name in two:
            both = two[name]
            gain = f"{row.median_ms / both.median_ms:.2f}x"
            cells += [f"{both.median_ms:.2f}", f"{both.spread:.1%}", gain, _times(both, own)]
        else:
            cells += ["-"] * 4
        lines.append([*name, *cells, f"{row.load_ms:.1f}", f"{row.memory_mib:.1f}", f"{row.file_mib:.1f}"])
    text = caption_of_engines(rows, [row.engine for row in rows])
    return section("Networks, 224x224, batch 1", text, table(header, lines))


def _times(row: NetworkRow, own: dict[int, NetworkRow]) -> str:
    base = own.get(row.threads)
    return "-" if base is None or base.status else f"{row.median_ms / base.median_ms:.1f}x"


def _splits(rows: Sequence[SplitRow]) -> str:
    if not rows:
        return ""
    header = ["network", "ms", "binary kernels", "stem", "other float", "head", "glue", "outside binary kernels"]
    lines = []
    for row in rows:
        shares = (*row.parts, row.total_ms - row.binary_ms)
        lines.append([row.network, f"{row.total_ms:.2f}", *(f"{part / row.total_ms:.1%}" for part in shares)])
    text = f"{caption(rows)} Shares of the time of all nodes, one thread."
    return section("Where the time of networks goes", text, table(header, lines))


def _proof(rows: Sequence[ProofRow]) -> str:
    if not rows:
        return ""
    header = ["network", "images", "packed nodes", "unpacked", "fallbacks", "bits compared", "floats compared"]
    header += ["differ from references", "bits that differ from PyTorch", "largest margin", "same class", "proven"]
    lines: list[Cells] = []
    for row in rows:
        if row.status:
            lines.append([row.network, row.status, *["-"] * (len(header) - 2)])
            continue
        counts = (row.images, row.packed, row.unpacked, row.fallbacks, row.bits, row.floats)
        differ = (row.reference_differences, row.model_differences)
        same = f"{row.equal_predictions} of {row.images}"
        cells = [*(f"{count:,}" for count in (*counts, *differ)), f"{row.margin:.1e}", same, _verdict(row)]
        lines.append([row.network, *cells])
    isas = ", ".join(dict.fromkeys(row.isa for row in rows if row.isa))
    text = (
        f"{caption(rows)} Engine: {isas}. Random weights, full size. Every output of every Bittern operator in the "
        "engine is compared with the operator's reference on the same inputs, where nothing may differ, and with the "
        "network in PyTorch, where only bits within rounding error of their threshold may differ (margin: how far, as "
        "a share of the layer's largest value), and what follows from them. References only: the network rounds "
        "activations to steps, and a value within rounding error of a step comes out a whole step away, so there is "
        "nothing to compare with PyTorch."
    )
    return section("Proof", text, table(header, lines))


def _verdict(row: ProofRow) -> str:
    if not row.passed:
        return "NO"
    return "references only" if row.references_only else "yes"
