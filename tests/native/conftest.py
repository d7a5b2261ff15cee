"""Sanitized native processes, one for each instruction set that this machine runs."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from native.sanitized import Native, build

ISAS = ("portable", "avx2", "avx512", "avx512vpopcntdq")


@pytest.fixture(scope="session")
def native_folder() -> Path:
    try:
        return build()
    except RuntimeError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="session")
def start_native(native_folder: Path) -> Iterator[Callable[[str | None], Native]]:
    """Starts a process with BITTERN_ISA set, or reuses it."""
    started: dict[str | None, Native] = {}

    def start(isa: str | None) -> Native:
        if isa not in started:
            started[isa] = Native(native_folder, isa)
        return started[isa]

    yield start
    for native in started.values():
        native.close()


@pytest.fixture(scope="session")
def any_native(start_native: Callable[[str | None], Native]) -> Native:
    """A process that chooses its instruction set itself."""
    return start_native(None)


@pytest.fixture(scope="session", params=ISAS)
def native(request: pytest.FixtureRequest, start_native: Callable[[str | None], Native], any_native: Native) -> Native:
    """A process for each instruction set; skipped where the machine lacks it."""
    if any_native.choose_isa(any_native.detect_arch_flags(), request.param) is None:
        pytest.skip(f"this CPU has no {request.param}")
    return start_native(request.param)


@pytest.fixture(autouse=True, scope="session")
def without_forced_isa() -> Iterator[None]:
    forced = os.environ.pop("BITTERN_ISA", None)
    yield
    if forced is not None:
        os.environ["BITTERN_ISA"] = forced
