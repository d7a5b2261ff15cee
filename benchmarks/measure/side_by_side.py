"""Long computations side by side, each in a process of its own; an error ends one of them and not the others."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


def run_side_by_side(
    function: Callable[[Job], Result], jobs: Iterable[Job], processes: int
) -> Iterator[tuple[Job, Result]]:
    """Yields each job with its result when it is done; prints the error of one that fails.

    ``function`` runs in a fresh process for each job, so it must be importable, and jobs and results picklable.
    """
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        futures = {pool.submit(function, job): job for job in jobs}
        try:
            for future in as_completed(futures):
                error = future.exception()
                if error is None:
                    yield futures[future], future.result()
                else:
                    print(f"{futures[future]}: failed: {type(error).__name__}: {error}", flush=True)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
