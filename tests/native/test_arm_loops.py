"""The compiled inner loops of conv2d and conv2d_pairs on aarch64 have the instructions that docs/arm.md lists."""

from pathlib import Path

import pytest

from native.disassembly import Loop, counting_loops
from native.sanitized import ROOT

pytestmark = pytest.mark.slow

LARQ = 109
"""Instructions of Larq Compute Engine's 8 x 4 x 4 block, which are 4096 MAC."""

ADD = {"arm_neon": "add", "arm_neon_dotprod": "udot"}


@pytest.fixture(params=ADD)
def kernel(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def loops_of(folder: Path, family: str, kernel: str, tile: str) -> list[Loop]:
    """Innermost loops of the tiles, those of the largest tile first."""
    (path,) = folder.glob(f"**/bittern_operator_objects.dir/**/{family}/{kernel}.cc.o")
    found = [loop for loop in counting_loops(path) if tile in loop.function]
    return sorted(found, key=lambda loop: -loop.macs)


@pytest.fixture
def loops(kernel: str, emulated_folder: Path) -> list[Loop]:
    return loops_of(emulated_folder, "conv2d", kernel, "ArmTile")


@pytest.fixture
def pair_loops(kernel: str, emulated_folder: Path) -> list[Loop]:
    return loops_of(emulated_folder, "conv2d_pairs", kernel, "ArmPairTile")


def test_the_largest_tile_takes_fewer_instructions_than_larq_compute_engine(kernel: str, loops: list[Loop]) -> None:
    # Two words of 3 pixels and 2 blocks of 16 filters: 3 * 2 * 16 * 64 MAC.
    vector = {"eor": 48, "cnt": 48, ADD[kernel]: 48, "ld1r": 6}
    assert loops[0].counts == {**vector, "ldp": 8, "subs": 1, "b.ne": 1}
    assert loops[0].macs == 3 * 2 * 16 * 64
    assert loops[0].per_4096_macs < LARQ


def test_no_tile_copies_or_spills_a_register(kernel: str, loops: list[Loop]) -> None:
    steps = [loop for loop in loops if loop.mnemonics[-1] == "b.ne"]
    assert len(steps) == 2 * 2  # 1 or 3 pixels, 1 or 2 blocks
    for loop in steps:
        assert set(loop.mnemonics) == {"ld1r", "ldp", "eor", "cnt", ADD[kernel], "subs", "b.ne"}


def test_pairs_of_words_take_fewer_instructions(kernel: str, loops: list[Loop], pair_loops: list[Loop]) -> None:
    # A pair of words of 2 pixels and 2 blocks of 16 filters: 2 * 2 * 16 * 64 MAC.
    counts = pair_loops[0].counts
    assert pair_loops[0].macs == 2 * 2 * 16 * 64
    assert {name: counts[name] for name in ("eor", "bsl", "cnt")} == {"eor": 16, "bsl": 16, "cnt": 16}
    assert pair_loops[0].per_4096_macs < 0.8 * loops[0].per_4096_macs


def test_no_tile_of_pairs_copies_or_spills_a_register(kernel: str, pair_loops: list[Loop]) -> None:
    steps = [loop for loop in pair_loops if loop.counts["ld1r"]]
    assert len(steps) == 2 * 2  # 1 or 2 pixels, 1 or 2 blocks
    for loop in steps:  # integer registers: the address of the words, the counter of the loop
        assert set(loop.mnemonics) <= {
            *("ld1r", "ldp", "eor", "bsl", "cnt", ADD[kernel]),
            *("ldr", "lsl", "add", "subs", "cmp", "b.ne"),
        }


@pytest.mark.parametrize("family", ["conv2d", "conv2d_pairs"])
def test_the_documented_figure_is_the_one_counted(
    kernel: str, family: str, loops: list[Loop], pair_loops: list[Loop]
) -> None:
    lines = (ROOT / "docs" / "arm.md").read_text().splitlines()
    (row,) = [line for line in lines if line.startswith(f"| `{family}`, `{kernel}` |")]
    cells = [cell.strip() for cell in row.split("|")]
    counted = pair_loops if family == "conv2d_pairs" else loops
    assert f"**{counted[0].per_4096_macs:.1f}**" in cells
