"""What is special to the engine on aarch64. Its operators are tested with those of x86-64, by the fixture `native`."""

from pathlib import Path

import numpy as np
import pytest

from native import emulated
from native.emulated import Emulated
from native.sanitized import NativeError, fresh

pytestmark = pytest.mark.slow

NEON = ["conv2d_arm_neon", "pack_arm_neon", "max_pool2d_arm_neon"]
DOTPROD = ["conv2d_arm_neon_dotprod", *NEON[1:]]


@pytest.mark.parametrize(
    ("cpu", "isas", "kernels"),
    [
        ("cortex-a53", ["neon", "portable"], NEON),
        ("cortex-a72", ["neon", "portable"], NEON),
        ("neoverse-n1", ["neondotprod", "neon", "portable"], DOTPROD),
        ("max", ["neondotprod", "neon", "portable"], DOTPROD),
    ],
)
def test_the_cpu_decides_the_kernels(emulated_folder: Path, cpu: str, isas: list[str], kernels: list[str]) -> None:
    assert emulated.about(emulated_folder, cpu) == (isas, kernels)


def test_a_set_that_the_cpu_lacks_is_refused(emulated_folder: Path) -> None:
    native = Emulated(emulated_folder, "neondotprod", cpu="cortex-a72")
    message = r"BITTERN_ISA must name .*supports \(neon, portable; known: neondotprod, neon, portable\), got 'neondotp"
    with pytest.raises(NativeError, match=message):
        native.operator("binarize", [np.ones(3, np.float32)], [fresh((3,), np.float32)])
    native.close()


def test_a_refused_call_says_why_and_the_next_one_runs(emulated_folder: Path) -> None:
    native, ones = Emulated(emulated_folder, "neon"), np.ones((2, 40), np.float32)
    with pytest.raises(NativeError, match=r"bittern::pack\.out: threshold must be of shape \[40\]"):
        native.operator("pack", [ones, ones[:1], -1], [fresh((2, 2), np.int32)])
    with pytest.raises(NativeError, match=r"no operator is named bittern::conv3d\.out"):
        native.operator("conv3d", [], [])
    (packed,) = native.operator("pack", [-ones, None, -1], [fresh((2, 2), np.int32)])
    np.testing.assert_array_equal(packed, [[-1, 255]] * 2)
    native.close()
