"""Whole networks for 224x224 images, batch 1, in Bittern and its rivals: ``python -m benchmarks networks``."""

from collections.abc import Sequence
from functools import partial

from benchmarks.measure import proof, split
from benchmarks.measure.campaign import Campaign
from benchmarks.measure.driver import Column, Driver, Timings
from benchmarks.measure.network_files import NetworkEntry, bittern, column, larq, rivals
from benchmarks.rows import NetworkRow, Stamp

THREADS = (1, 2)
OWN = ("quicknet", "quicknet-small", "quicknet-large", "reactnet-a", "bi-real-net-18")
ENTRIES = [
    *map(bittern, OWN),
    *larq("quicknet"),
    *rivals("resnet-18"),
    *rivals("mobilenet-v2"),
    *rivals("mobilenet-v2-0.75"),
    *rivals("mobilenet-v2-0.5"),
    *rivals("mobilenet-v2-0.35"),
    *rivals("efficientnet-lite0"),
]


def run(campaign: Campaign) -> None:
    """Latencies, where the time of Bittern's networks goes, and the proof of every model."""
    from bittern.models import list_models

    options = campaign.options
    chosen = [each for each in ENTRIES if options.only in each.name and (options.rivals or each.engine == "Bittern")]
    own = [each.network for each in chosen if each.engine == "Bittern"]
    campaign.measure("networks", partial(measure, chosen, options.rounds))
    campaign.measure("networks-split", partial(split.measure, own))
    campaign.measure("proof", partial(proof.measure, [name for name in list_models() if options.only in name]))


def measure(entries: Sequence[NetworkEntry], rounds: int, driver: Driver, stamp: Stamp) -> list[NetworkRow]:
    """Latencies of all networks on every number of threads, interleaved; then memory, one process each."""
    columns: dict[tuple[NetworkEntry, int], Column] = {}
    for threads in THREADS:
        if threads > driver.cores:
            driver.say(f"skipped: {threads} threads need as many cores, this process may use {driver.cores}")
            continue
        for index, entry in enumerate(entries):
            if threads == 1:
                driver.say(f"[{index + 1}/{len(entries)}] {entry.name}: building what is missing")
            columns[entry, threads] = column(driver, entry, threads)
    timings = driver.measure(columns.values(), rounds=rounds, seconds=0.03, aloud=True)
    rows = []
    for (entry, threads), each in columns.items():
        found = timings[each.name]
        footprint = _footprint(driver, each, found) if threads == 1 else (0.0, 0.0, 0.0)
        named = (entry.network, entry.precision, entry.engine, found.reason, threads)
        rows.append(NetworkRow(*named, *found.summary(1e-3), len(found.medians), *footprint, **stamp))
        driver.say(f"{each.name}: {found.reason or f'{found.median * 1e3:.2f} ms'}")
    return rows


def _footprint(driver: Driver, column: Column, timings: Timings) -> tuple[float, float, float]:
    """MiB of the file, ms of loading, MiB of memory."""
    if timings.reason:
        return 0.0, 0.0, 0.0
    process = driver.fresh(column)
    try:
        result = process.ask("footprint", **column.request)
    finally:
        process.close()
    return column.path.stat().st_size / 2**20, result["seconds"] * 1e3, result["bytes"] / 2**20
