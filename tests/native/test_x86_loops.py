"""The counting loops of the engine on x86 keep their counters in registers, seen in the compiled code."""

import importlib.util
import platform
import re
import shutil
from pathlib import Path

import pytest

from native.disassembly import Loop, innermost_loops

pytestmark = pytest.mark.slow

COUNTING = {"vpopcntd", "vpshufb", "vpsubb"}
"""One of them is in every such loop: popcount, a look-up of popcounts, depthwise counters of a byte."""


@pytest.fixture(scope="module")
def loops() -> list[Loop]:
    if platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("the engine of this machine is not for x86")
    if shutil.which("objdump") is None:
        pytest.skip("no objdump; apt-get install binutils")
    spec = importlib.util.find_spec("bittern.runtime._engine")
    assert spec is not None
    assert spec.origin is not None
    library = Path(spec.origin).parent / "lib" / "libbittern_operators.so"
    found = innermost_loops(library, "objdump", r"j\w+")
    return [loop for loop in found if loop.counts.keys() & COUNTING]


def test_every_family_of_kernels_is_among_them(loops: list[Loop]) -> None:
    assert len(loops) > 50
    assert max(loop.counts["vpopcntd"] for loop in loops) == 20  # conv2d_pairs, 5 pixels and 4 blocks
    assert max(loop.counts["vpshufb"] for loop in loops) == 32  # conv2d_lookup, AVX-512
    assert any(loop.counts["kmovd"] == 4 for loop in loops)  # depthwise, 4 pixels


def test_no_loop_copies_or_spills_a_vector(loops: list[Loop]) -> None:
    for loop in loops:
        for mnemonic, operands in loop.instructions:
            copies = re.fullmatch(r"vmov(dq[au]|[au]p[sd])\d*", mnemonic) and "(" not in operands
            assert not copies, f"{mnemonic} {operands} in {dict(loop.counts)}"
            assert not (mnemonic.startswith("v") and "(%rsp" in operands), (
                f"{mnemonic} {operands} in {dict(loop.counts)}"
            )
