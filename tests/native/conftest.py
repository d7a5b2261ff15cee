"""Native processes, one an instruction set: sanitized for those of this machine, emulated for those of aarch64.

Instruction sets and kernels are those that the built test binding lists: a new row of ``kIsas`` or of a ``kernels.inc``
is tested as it is.
"""

import functools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from native import emulated, sanitized
from native.emulated import Emulated, MissingError
from native.sanitized import FAMILIES, Listed, Native

EMULATED = [pytest.param(f"aarch64-{isa}", marks=pytest.mark.slow) for isa in emulated.CPUS]


@functools.cache
def _listed() -> Listed:
    try:
        return sanitized.listed()
    except RuntimeError:  # which the fixture native_folder reports
        return Listed({"unbuilt": 0}, {family: {"unbuilt": 0} for family in FAMILIES})


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    families = [family for family in FAMILIES if f"{family}_kernel" in metafunc.fixturenames]
    if not families and "native" not in metafunc.fixturenames:
        return
    for family in families:
        metafunc.parametrize(f"{family}_kernel", _listed().rows[family], indirect=True, scope="session")
    if "native" in metafunc.fixturenames:
        metafunc.parametrize("native", [*_listed().isas, *EMULATED], indirect=True, scope="session")


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
    """Gives the process of an instruction set, ``aarch64-NAME`` for an emulated one; skips where there is none."""
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


@pytest.fixture(scope="session")
def native(request: pytest.FixtureRequest, start_isa: Callable[[str], Native]) -> Native:
    """A process for each instruction set, those of aarch64 included, which call operators alone."""
    return start_isa(request.param)


def _runnable(family: str, name: str, any_native: Native) -> str:
    if sanitized.listed().rows[family][name] & ~any_native.detect_arch_flags():
        pytest.skip(f"this CPU cannot run {name}")
    return name


@pytest.fixture(scope="session")
def conv2d_kernel(request: pytest.FixtureRequest, any_native: Native) -> str:
    """The name of each kernel that this CPU can run, as for the other families."""
    return _runnable("conv2d", request.param, any_native)


@pytest.fixture(scope="session")
def conv2d_weight_only_kernel(request: pytest.FixtureRequest, any_native: Native) -> str:
    return _runnable("conv2d_weight_only", request.param, any_native)


@pytest.fixture(scope="session")
def pack_kernel(request: pytest.FixtureRequest, any_native: Native) -> str:
    return _runnable("pack", request.param, any_native)


@pytest.fixture(scope="session")
def max_pool2d_kernel(request: pytest.FixtureRequest, any_native: Native) -> str:
    return _runnable("max_pool2d", request.param, any_native)


@pytest.fixture(autouse=True, scope="session")
def without_forced_isa() -> Iterator[None]:
    forced = os.environ.pop("BITTERN_ISA", None)
    yield
    if forced is not None:
        os.environ["BITTERN_ISA"] = forced
