"""The engine on aarch64: choosing kernels, zeros and NaN, errors. The fixture `native` covers its operators."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from native import emulated
from native.emulated import Emulated
from native.sanitized import Native, NativeError, fresh

pytestmark = pytest.mark.slow


def test_every_instruction_set_of_aarch64_is_emulated(emulated_folder: Path) -> None:
    for isa, cpu in emulated.CPUS.items():
        about = emulated.about(emulated_folder, cpu)
        assert {*about.isas} == {*emulated.CPUS}
        assert isa in about.supported


@pytest.mark.parametrize(
    ("cpu", "fastest", "conv2d"),
    [
        ("cortex-a53", "neon", "conv2d_arm_neon"),
        ("cortex-a72", "neon", "conv2d_arm_neon"),
        ("neoverse-n1", "neondotprod", "conv2d_arm_neon_dotprod"),
        ("max", "neondotprod", "conv2d_arm_neon_dotprod"),
    ],
)
def test_the_cpu_decides_the_kernels(emulated_folder: Path, cpu: str, fastest: str, conv2d: str) -> None:
    about = emulated.about(emulated_folder, cpu)
    assert about.supported == about.isas[about.isas.index(fastest) :]
    assert about.kernels == [conv2d, "pack_arm_neon", "max_pool2d_arm_neon"]


@pytest.mark.parametrize("isa", ["neon", "neondotprod"])
def test_floats_are_those_of_the_portable_kernels_in_every_bit(start_isa: Callable[[str], Native], isa: str) -> None:
    """Signs of zeros included, which == does not see; not those of NaNs, which the order of a sum decides."""
    rng, channels = np.random.default_rng(0), 50
    special = np.array([0.0, -0.0, np.nan, -np.nan, np.inf, -np.inf, 1e38, 1e-45, -1.0, 0.5], np.float32)
    x = rng.integers(-(2**31), 2**31, (1, 7, 5, 2)).astype(np.int32)
    weight = rng.integers(-(2**31), 2**31, (4, 2, 16)).astype(np.int32)
    steps = [rng.choice(special, channels) for _ in range(6)]
    residual = rng.choice(special, (1, 7, 5, channels)).transpose(0, 3, 1, 2)
    bounds: list[tuple[float | None, float | None]] = [
        (None, None),
        (0.0, None),
        (-0.0, 0.0),
        (None, -0.0),
        (-1.0, 0.5),
    ]
    for low, high in bounds:
        # Steps behind the clamp would hide the sign of a zero.
        behind = [steps[2], residual, *steps[3:]] if low is None else [None] * 5
        epilogue = [low, high, steps[0], steps[1] if low is None else None, low, high, *behind]
        conv = [64, channels, [1, 1], [1, 1], [0, 0, 0, 0], [1, 1], 1, 0]
        output = fresh((1, channels, 7, 5), np.float32, channels_last=True)
        ours, theirs = (
            start_isa(f"aarch64-{name}").operator("conv2d", [x, weight, *conv, *epilogue], [output])[0]
            for name in (isa, "portable")
        )
        np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs))
        np.testing.assert_array_equal(np.nan_to_num(ours).view(np.int32), np.nan_to_num(theirs).view(np.int32))


def test_a_set_that_the_cpu_lacks_is_refused(emulated_folder: Path) -> None:
    native = Emulated(emulated_folder, "neondotprod", cpu="cortex-a72")
    message = r"BITTERN_ISA .*\(neon, portable; known: neondotprod, neon, portable\).*'neondotprod'"
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
