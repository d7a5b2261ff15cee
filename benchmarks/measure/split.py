"""Where the time of a network goes: Bittern's binary kernels, float operators, and what stands between them.

binary: layers on packed bits. float: XNNPACK, and layers with packed weights but real-valued inputs; before the first
operator on bits (stem), behind the last (head), and between (middle). glue: packing, everything else on packed tensors,
and what XNNPACK leaves to ExecuTorch's own kernels.
"""

import statistics
from collections.abc import Sequence

from benchmarks.measure.driver import Driver, RequestError
from benchmarks.measure.environments import VENV
from benchmarks.measure.network_files import bittern, column
from benchmarks.rows import SplitRow, Stamp

BINARY, FLOAT, GLUE = "binary", "float", "glue"
_ROUNDS, _RUNS = 5, 5

Node = tuple[str, float]
"""Name and microseconds (bittern.runtime.engine.NodeTime)."""


def nodes(path: str) -> list[Node]:
    """In a worker: every node of a program, with its median time."""
    import numpy as np

    from bittern.runtime import load

    engine = load(path)
    images = np.random.default_rng(0).standard_normal(engine.metadata.input_shape, np.float32)
    return [(node.name, node.median) for node in engine.profile(images, runs=_RUNS)]


def kind(name: str) -> str:
    """Of a node by its name."""
    if name == "XnnpackBackend" or "_weight_only" in name:
        return FLOAT
    return BINARY if name.startswith(("bittern::conv2d", "bittern::linear")) else GLUE


def shares(run: Sequence[Node]) -> tuple[float, float, float, float, float]:
    """Of the time of one run: binary, stem, middle, head, glue, which add up to 1.

    A network that computes nothing on bits is stem altogether.
    """
    kinds = [kind(name) for name, _ in run]
    binary = [place for place, each in enumerate(kinds) if each == BINARY] or [len(run)]
    first, last = binary[0], binary[-1]
    total = sum(time for _, time in run)

    def share(kind_: str, begin: int = 0, end: int = len(run)) -> float:
        return sum(run[place][1] for place in range(begin, end) if kinds[place] == kind_) / total

    parts = (share(FLOAT, 0, first), share(FLOAT, first, last), share(FLOAT, last))
    return share(BINARY), *parts, share(GLUE)


def measure(networks: Sequence[str], driver: Driver, stamp: Stamp) -> list[SplitRow]:
    """The medians over rounds in which the networks take turns; what failed to build is left out."""
    columns = {network: column(driver, bittern(network), 1) for network in networks}
    worker = driver.worker(VENV, "split", 1)
    seen: dict[str, list[list[Node]]] = {network: [] for network, each in columns.items() if not each.reason}
    for turn in range(_ROUNDS):
        driver.say(f"where the time goes: round {turn + 1} of {_ROUNDS}")
        for network in list(seen):
            try:
                seen[network].append(
                    worker.ask("call", module="split", function="nodes", arguments=[str(columns[network].path)])
                )
            except RequestError as error:
                driver.say(f"{network}: {error}")
                del seen[network]
    rows = []
    for network, runs in seen.items():
        median = [(run[0][0], statistics.median(time for _, time in run)) for run in zip(*runs, strict=True)]
        total = sum(time for _, time in median) * 1e-3
        rows.append(SplitRow(network, *(share * total for share in shares(median)), **stamp))
    return rows
