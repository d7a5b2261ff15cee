"""Long commands side by side: so many at a time, each in a process of its own, an error kept to its line."""

import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor


def run_side_by_side(modules: Sequence[tuple[str, Sequence[str]]], width: int) -> None:
    """Runs ``python -m`` with each of (title, arguments), ``width`` at a time; prints what each said last, in order."""
    with ThreadPoolExecutor(width) as pool:
        try:
            for (title, _), said in zip(modules, pool.map(lambda m: _run(m[1]), modules), strict=True):
                print(f"{title}: {said}", flush=True)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _run(arguments: Sequence[str]) -> str:
    done = subprocess.run([sys.executable, "-m", *arguments], capture_output=True, text=True, check=False)
    last = (done.stderr if done.returncode else done.stdout).strip().splitlines() or ["nothing said"]
    return f"failed: {last[-1]}" if done.returncode else last[-1]
