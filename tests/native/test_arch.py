"""The instruction set in use is a pure function of the CPU's features and of BITTERN_ISA."""

from collections.abc import Callable

import numpy as np
import pytest

from native.sanitized import Native, NativeError, fresh


def test_the_fastest_supported_set_is_chosen(any_native: Native) -> None:
    flags = any_native.isas()
    assert list(flags) == ["avx512vpopcntdq", "avx512", "avx2", "portable"]
    for name, needed in flags.items():
        assert any_native.choose_isa(needed, None) == name
        assert any_native.choose_isa(needed, "") == name


def test_a_forced_set_is_used_where_the_cpu_has_it(any_native: Native) -> None:
    flags = any_native.isas()
    assert any_native.choose_isa(flags["avx512"], "avx2") == "avx2"
    assert any_native.choose_isa(flags["avx512"], "portable") == "portable"
    assert any_native.choose_isa(flags["avx2"], "avx512") is None
    assert any_native.choose_isa(0, "avx2") is None


@pytest.mark.parametrize("missing_bit", range(3))
def test_a_cpu_without_one_feature_gets_another_set(any_native: Native, missing_bit: int) -> None:
    flags = any_native.isas()
    assert any_native.choose_isa(flags["avx512vpopcntdq"] & ~(1 << missing_bit), None) != "avx512vpopcntdq"


@pytest.mark.parametrize("name", ["avx1024", "AVX2", " avx2", "neon"])
def test_an_unknown_name_is_no_set(any_native: Native, name: str) -> None:
    assert any_native.choose_isa(any_native.isas()["avx512"], name) is None


def test_an_unknown_name_in_the_environment_is_an_error(start_native: Callable[[str | None], Native]) -> None:
    native = start_native("mmx")
    message = r"BITTERN_ISA must name an instruction set .*known: avx512vpopcntdq, avx512, avx2, portable.*got 'mmx'"
    with pytest.raises(NativeError, match=message):
        native.operator("binarize", [np.ones(3, np.float32)], [fresh((3,), np.float32)])


def test_every_family_selects_the_row_of_the_set(any_native: Native) -> None:
    flags = any_native.isas()
    others = ("pack_x86_avx512", "max_pool2d_x86_avx512")
    assert any_native.selected(flags["avx512vpopcntdq"]) == ("conv2d_x86_avx512_vpopcntdq", *others)
    assert any_native.selected(flags["avx512"]) == ("conv2d_x86_avx512", *others)
    assert set(any_native.selected(flags["avx2"])) == {"conv2d_x86_avx2", "pack_x86_avx2", "max_pool2d_x86_avx2"}
    assert set(any_native.selected(0)) == {"conv2d_portable", "pack_portable", "max_pool2d_portable"}


@pytest.mark.parametrize("family", ["conv2d_kernels", "pack_kernels", "max_pool2d_kernels"])
def test_every_list_ends_with_a_portable_row(any_native: Native, family: str) -> None:
    rows = getattr(any_native, family)()
    assert rows[-1] == ("portable", 0)
    assert len(dict(rows)) == len(rows)
