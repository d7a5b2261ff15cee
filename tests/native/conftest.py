"""Native processes, one an instruction set: sanitized for those of this machine, emulated for those of aarch64."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from native import emulated, sanitized
from native.emulated import Emulated, MissingError
from native.sanitized import Native

HOST = ("portable", "avx2", "avx512", "avx512vpopcntdq")
EMULATED = [pytest.param(f"aarch64-{isa}", marks=pytest.mark.slow) for isa in emulated.CPUS]


@pytest.fixture(scope="session")
def native_folder() -> Path:
    try:
        return sanitized.build()
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


@pytest.fixture(scope="session")
def emulated_folder() -> Path:
    """Holds the driver for aarch64; skips where this machine cannot build or run it."""
    try:
        return emulated.build()
    except MissingError as error:
        pytest.skip(str(error))
    except RuntimeError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="session")
def start_isa(request: pytest.FixtureRequest) -> Callable[[str], Native]:
    """Gives the process of one of HOST or EMULATED; skips where there is none."""
    emulations: dict[str, Native] = {}

    def start(isa: str) -> Native:
        machine, _, name = isa.rpartition("-")
        if machine == "aarch64":
            if name not in emulations:
                emulations[name] = Emulated(request.getfixturevalue("emulated_folder"), name)
                request.addfinalizer(emulations[name].close)
            return emulations[name]
        start_native: Callable[[str | None], Native] = request.getfixturevalue("start_native")
        here = start_native(None)
        if here.choose_isa(here.detect_arch_flags(), name) is None:
            pytest.skip(f"this CPU has no {name}")
        return start_native(name)

    return start


@pytest.fixture(scope="session", params=[*HOST, *EMULATED])
def native(request: pytest.FixtureRequest, start_isa: Callable[[str], Native]) -> Native:
    """A process for each instruction set, those of aarch64 included, which call operators alone."""
    return start_isa(request.param)


@pytest.fixture(scope="session", params=HOST)
def host_native(request: pytest.FixtureRequest, start_isa: Callable[[str], Native]) -> Native:
    """A process for each instruction set of x86-64, for tests that would take too long in an emulator."""
    return start_isa(request.param)


@pytest.fixture(autouse=True, scope="session")
def without_forced_isa() -> Iterator[None]:
    forced = os.environ.pop("BITTERN_ISA", None)
    yield
    if forced is not None:
        os.environ["BITTERN_ISA"] = forced
