"""The instruction set in use is a pure function of the CPU's features and of BITTERN_ISA."""

from collections.abc import Callable

import numpy as np
import pytest

from native.sanitized import FAMILIES, Native, NativeError, fresh, listed


def test_the_fastest_supported_set_is_chosen(any_native: Native) -> None:
    for name, needed in listed().isas.items():
        assert any_native.choose_isa(needed, None) == name
        assert any_native.choose_isa(needed, "") == name


def test_a_forced_set_is_used_where_the_cpu_has_it(any_native: Native) -> None:
    for name, needed in listed().isas.items():
        for cpu, supported in listed().isas.items():
            expected = name if not needed & ~supported else None
            assert any_native.choose_isa(supported, name) == expected, f"{name} on a CPU with {cpu}"


def test_a_cpu_without_one_feature_gets_another_set(any_native: Native) -> None:
    fastest, needed = next(iter(listed().isas.items()))
    bits = [1 << i for i in range(32) if needed >> i & 1]
    assert bits
    for bit in bits:
        assert any_native.choose_isa(needed & ~bit, None) not in (None, fastest)


@pytest.mark.parametrize("name", ["avx1024", "AVX2", " avx2", "neon2"])
def test_an_unknown_name_is_no_set(any_native: Native, name: str) -> None:
    assert any_native.choose_isa(0xFFFFFFFF, name) is None


def test_an_unknown_name_in_the_environment_is_an_error(start_native: Callable[[str | None], Native]) -> None:
    native = start_native("mmx")
    message = rf"BITTERN_ISA .*known: {', '.join(listed().isas)}.*'mmx'"
    with pytest.raises(NativeError, match=message):
        native.operator("binarize", [np.ones(3, np.float32)], [fresh((3,), np.float32)])


def test_every_family_uses_the_first_row_that_the_set_allows(any_native: Native) -> None:
    for flags in listed().isas.values():
        for family, name in any_native.selected(flags).items():
            rows = {
                row: needed
                for row, needed in listed().rows[family].items()
                if not row.startswith(("lookup_", "pairs_"))
            }
            assert name == next(row for row, needed in rows.items() if not needed & ~flags)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_list_ends_with_a_portable_row(any_native: Native, family: str) -> None:
    rows = getattr(any_native, f"{family}_kernels")()
    assert rows[-1] == ("portable", 0)
    assert len(dict(rows)) == len(rows)
