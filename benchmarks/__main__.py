"""The command line: ``python -m benchmarks kernels``, ``networks``, ``macs``, ``report``, all without a name; ``rates``

What an interrupted run has finished is kept: the next run of the same committed revision goes on behind it. CSV files
are replaced whole, group by group; the tables of README.md and the plots are made from them at the end.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial as bind
from pathlib import Path
from typing import Any

from benchmarks import (
    choices,
    environments,
    isas,
    kernels,
    layers,
    macs_vs_latency,
    network_times,
    plots,
    proof,
    rates,
    results,
    split,
    tables,
)
from benchmarks.driver import Driver
from benchmarks.environments import BUILD, ROOT
from bittern.cli._machine import this_machine

Finish = Callable[[str, Path, Callable[[], Sequence[Any]]], None]


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def revision() -> str:
    """The commit that is measured, with a plus if tracked files have changed since, the results aside."""
    git = ["git", "-C", str(ROOT)]
    commit = subprocess.run([*git, "describe", "--always"], capture_output=True, text=True, check=False).stdout.strip()
    changed = [*git, "diff", "--quiet", "HEAD", "--", "native", "src", "benchmarks/*.py"]
    return (commit or "unknown") + ("+" if subprocess.run(changed, check=False).returncode else "")


class Progress:
    """Groups that a run of this revision on this machine has finished, for the next run if this one is interrupted."""

    def __init__(self, key: str, *, fresh: bool) -> None:
        self._path, self._key = BUILD / "progress.json", key
        self.done: list[str] = []
        if self._path.exists() and not fresh:
            kept = json.loads(self._path.read_text())
            self.done = kept["done"] if kept["key"] == key else []

    def add(self, group: str) -> None:
        self.done.append(group)
        self._path.write_text(json.dumps({"key": self._key, "done": self.done}))

    def clear(self, groups: list[str]) -> None:
        """After a whole run: the next one measures everything again."""
        self.done = [group for group in self.done if group not in groups]
        self._path.write_text(json.dumps({"key": self._key, "done": self.done}))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "what",
        nargs="?",
        choices=["kernels", "networks", "macs", "report", "rates"],
        help="all but rates by default; rates: what `bittern inspect` predicts latencies from",
    )
    parser.add_argument("--only", default="", metavar="TEXT", help="only layers or networks whose name holds TEXT")
    parser.add_argument("--rounds", type=int, default=15, help="interleaved rounds")
    parser.add_argument("--no-rivals", action="store_true", help="only Bittern's own columns")
    parser.add_argument(
        "--results", type=Path, default=None, help="folder of the CSV files; with --only none by default"
    )
    parser.add_argument("--fresh", action="store_true", help="measure again what an interrupted run has finished")
    options = parser.parse_args()
    partial = bool(options.only or options.no_rivals)
    folder = options.results or (BUILD / "partial" if partial else results.RESULTS)
    if folder == BUILD / "partial":
        shutil.rmtree(folder, ignore_errors=True)
    machine, commit = str(this_machine()), revision()
    progress = Progress(f"{machine} {commit} {options.rounds}", fresh=options.fresh or partial or commit.endswith("+"))
    groups: list[str] = []

    def finish(group: str, path: Path, measure: Callable[[], Sequence[Any]]) -> None:
        groups.append(group)
        if group in progress.done:
            say(f"{group}: kept from the interrupted run (--fresh measures it again)")
            return
        rows = measure()
        if rows:
            results.write(path, rows)
        if not partial:
            progress.add(group)

    if options.what == "rates":
        environments.build_native()
        with Driver(say) as driver:
            rates.write(rates.measure(driver, rounds=options.rounds, say=say))
        return 0
    about = {"machine": machine, "revision": commit}
    if options.what != "report":
        say(f"{machine}; revision {commit}")
        environments.build_native()
        with Driver(say) as driver:
            if options.what in (None, "kernels"):
                _kernels(driver, options, folder, finish, about)
            if options.what in (None, "networks"):
                _networks(driver, options, folder, finish, about)
            if options.what in (None, "macs"):
                _macs(driver, options, folder, finish, about)
        if not partial:
            progress.clear(groups)
    plots.draw(folder)
    if folder == results.RESULTS:
        tables.write_readme(folder)
        say(f"wrote {tables.README.relative_to(ROOT)} and {folder.relative_to(ROOT)}")
    else:
        print(tables.generated(folder))
    return 0


def _kernels(driver: Driver, options: argparse.Namespace, folder: Path, finish: Finish, about: dict[str, str]) -> None:
    for group in layers.GROUPS:
        chosen = [layer for layer in layers.LAYERS if layer.group == group and options.only in layer.name]
        if chosen:
            measure = bind(
                kernels.measure, driver, chosen, rivals=not options.no_rivals, rounds=options.rounds, say=say
            )
            finish(f"kernels {group}", kernels.csv_path(folder, group), bind(measure, **about))
    alone = driver.worker(environments.VENV, "bound", 1)
    measure_isas = bind(isas.ask, alone, only=options.only, repeats=10 * options.rounds, say=say, **about)
    finish("isas", folder / "isas.csv", measure_isas)
    finish("choices", folder / "choices.csv", bind(choices.ask, alone, repeats=10 * options.rounds, say=say, **about))
    finish("memory", folder / "memory.csv", bind(isas.ask_memory, alone, **about))


def _networks(driver: Driver, options: argparse.Namespace, folder: Path, finish: Finish, about: dict[str, str]) -> None:
    from bittern.models import list_models

    chosen = [source for source in network_times.SOURCES if options.only in source.name]
    own = [source for source in chosen if source.engine == "Bittern"]
    chosen = own if options.no_rivals else chosen
    measure = bind(network_times.measure, driver, chosen, rounds=options.rounds, say=say, **about)
    finish("networks", folder / "networks.csv", measure)
    where = bind(split.measure, driver, [source.network for source in own], say=say, **about)
    finish("networks split", folder / "networks-split.csv", where)
    names = [name for name in list_models() if options.only in name]
    finish("proof", folder / "proof.csv", bind(proof.measure, driver, names, say=say, **about))


def _macs(driver: Driver, options: argparse.Namespace, folder: Path, finish: Finish, about: dict[str, str]) -> None:
    chosen = [name for name in macs_vs_latency.networks() if options.only in name]
    frontier = not options.no_rivals
    study = bind(macs_vs_latency.measure, driver, chosen, frontier=frontier, rounds=options.rounds, say=say, **about)
    finish("macs", folder / "macs.csv", study)
    finish("macs split", folder / "macs-split.csv", bind(split.measure, driver, chosen, say=say, **about))


if __name__ == "__main__":
    sys.exit(main())
