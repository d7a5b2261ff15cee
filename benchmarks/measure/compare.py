"""Two revisions of this project against each other: ``python -m benchmarks compare OLD NEW``.

Each is checked out and built in a folder of its own under build/bench/compare, exports layers and QuickNet with its own
exporter and runs them in its own process through its public interface, so any two revisions can be compared. Bursts of
both are interleaved; a row's ratio is the median of the rounds' ratios, above 1 where NEW is faster.
"""

import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measure.driver import EngineProcess, RequestError
from benchmarks.measure.engines.revision import SUBJECTS
from benchmarks.measure.environments import BUILD, ROOT, VENV


def prepare(revision: str) -> Path:
    """Checks ``revision`` out and builds its engine, unless that was done before; returns the tree.

    Raises:
        SystemExit: no such revision, or it does not build.
    """
    commit = _run("git", "-C", ROOT, "rev-parse", "--short=12", f"{revision}^{{commit}}").strip()
    folder = BUILD / "compare" / commit
    tree, done = folder / "tree", folder / "built"
    if done.exists():
        return tree
    print(f"building {revision} ({commit})", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    archive = subprocess.Popen(["git", "-C", ROOT, "archive", "--prefix=tree/", commit], stdout=subprocess.PIPE)
    subprocess.run(["tar", "-x", "-C", folder], stdin=archive.stdout, check=True)
    nanobind = _run(sys.executable, "-m", "nanobind", "--cmake_dir").strip()
    options = ["-DCMAKE_BUILD_TYPE=Release", f"-DPython_EXECUTABLE={sys.executable}", f"-Dnanobind_DIR={nanobind}"]
    install = f"-DCMAKE_INSTALL_PREFIX={tree / 'src' / 'bittern' / 'runtime'}"
    _run("cmake", "-S", tree / "native", "-B", folder / "build", "-G", "Ninja", install, *options)
    _run("cmake", "--build", folder / "build")
    _run("cmake", "--install", folder / "build")
    done.touch()
    return tree


def _run(*command: object) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, env={**os.environ, "PATH": path}, check=False
    )
    if done.returncode != 0:
        raise SystemExit(f"{command[0]} failed:\n{(done.stdout + done.stderr)[-2000:]}")
    return done.stdout


def compare(trees: Sequence[Path], subject: str, *, rounds: int) -> list[tuple[float, float]]:
    """Seconds of a call in both trees, round by round. Raises RequestError."""
    core = (max(os.sched_getaffinity(0)),)
    processes = [EngineProcess(VENV, core, {"BITTERN_COMPARE_TREE": str(tree)}, print) for tree in trees]
    try:
        for process in processes:
            process.ask("load", engine="revision", path=subject, threads=1, options={}, slot=subject)
        bursts = []
        for _ in range(rounds):
            first, second = (p.ask("burst", slot=subject, seconds=0.01, calls=3)[1] for p in processes)
            bursts.append((first, second))
        return bursts
    finally:
        for process in processes:
            process.close()


def run(revisions: Sequence[str], *, only: str, rounds: int) -> None:
    """Prints a line for each subject whose name holds ``only``."""
    trees = [prepare(revision) for revision in revisions]
    before, after = (revision[:12] + " us" for revision in revisions)
    print(f"{'':32} {before:>16} {after:>16} {'ratio':>7}  quartiles")
    for subject in [name for name in SUBJECTS if only in name]:
        try:
            bursts = compare(trees, subject, rounds=rounds)
        except RequestError as error:
            print(f"{subject:32} {error}", flush=True)
            continue
        ratios = [first / second for first, second in bursts]
        low, _, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else (ratios[0],) * 3
        times = " ".join(f"{statistics.median(column) * 1e6:16.1f}" for column in zip(*bursts, strict=True))
        print(f"{subject:32} {times} {statistics.median(ratios):7.3f}  {low:.3f} to {high:.3f}", flush=True)
