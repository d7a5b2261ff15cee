"""The part of ExecuTorch that native/runtime/thread_pool.cc declares itself is there, and does what it is used for."""

import ctypes
import importlib.metadata
import re
from pathlib import Path

import pytest

from native.sanitized import ROOT, Native

SYMBOLS = {
    "get_threadpool()": "_ZN10executorch9extension10threadpool14get_threadpoolEv",
    "ThreadPool::_unsafe_reset_threadpool(uint32_t)": (
        "_ZN10executorch9extension10threadpool10ThreadPool24_unsafe_reset_threadpoolEj"
    ),
}
"""Declared in thread_pool.cc -> its name in the library, by the Itanium C++ ABI."""

WAY_OUT = (
    "compare extension/threadpool/threadpool.h of that version with native/runtime/thread_pool.cc, then change both"
)


@pytest.fixture(scope="module")
def executorch() -> importlib.metadata.Distribution:
    try:
        return importlib.metadata.distribution("executorch")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("ExecuTorch is not installed: pip install --no-deps executorch==1.5.1")


def test_the_pinned_version_is_the_one_that_was_compared() -> None:
    source = (ROOT / "native" / "runtime" / "thread_pool.cc").read_text()
    pinned = re.search(r"BITTERN_EXECUTORCH_VERSION (\S+)\)", (ROOT / "native/cmake/executorch.cmake").read_text())
    assert pinned is not None
    assert f"ExecuTorch {pinned[1]} " in source, f"ExecuTorch is pinned to {pinned[1]}: {WAY_OUT}"


@pytest.mark.parametrize("declared", SYMBOLS)
def test_the_library_exports_what_is_declared(executorch: importlib.metadata.Distribution, declared: str) -> None:
    library = ctypes.CDLL(str(Path(str(executorch.locate_file("executorch/lib/libexecutorch_threadpool.so")))))
    assert hasattr(library, SYMBOLS[declared]), f"ExecuTorch {executorch.version} has no {declared}: {WAY_OUT}"


def test_the_pool_has_as_many_threads_as_it_is_told(any_native: Native) -> None:
    assert [any_native.pool_threads(threads) for threads in (2, 3, 2)] == [2, 3, 2]
