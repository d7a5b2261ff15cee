"""Which kernel runs a convolution: the first whose instructions are in use and whose limits admit the layer."""

import itertools
from collections.abc import Iterator

import pytest

from native.sanitized import Native, listed

LayerSizes = dict[str, int]

LARGE: LayerSizes = {"pixels": 400, "filters": 256, "words": 36, "pixel_words": 4}


def layers() -> Iterator[LayerSizes]:
    sizes = {
        "pixels": (1, 8, 12, 32, 400),
        "filters": (16, 17, 64, 256),
        "words": (1, 2, 36, 513, 2048),
        "pixel_words": (1, 2),
        "sets": (1, 3),
        "masked": (0, 1),
    }
    for values in itertools.product(*sizes.values()):
        layer = dict(zip(sizes, values, strict=True))
        yield {**layer, "masked": bool(layer["masked"])}


def is_direct(kernel: str) -> bool:
    return not kernel.startswith(("lookup_", "pairs_"))


def test_the_first_kernel_that_takes_the_layer_is_chosen(any_native: Native) -> None:
    for layer in layers():
        takes = [name for name, _ in any_native.conv2d_kernels() if any_native.conv2d_why_not(name, **layer) is None]
        for flags in listed().isas.values():
            expected = next(name for name in takes if not listed().rows["conv2d"][name] & ~flags)
            assert any_native.choose_conv2d(flags, **layer) == expected, layer


def test_a_direct_kernel_takes_any_layer(any_native: Native) -> None:
    for name in filter(is_direct, listed().rows["conv2d"]):
        assert not any(any_native.conv2d_why_not(name, **layer) for layer in layers())


def test_every_instruction_set_has_a_direct_kernel_of_its_own() -> None:
    own = {flags for name, flags in listed().rows["conv2d"].items() if is_direct(name)}
    assert own == {*listed().isas.values()}


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"pixels": 1}, "few pixels"),
        ({"filters": 16}, "few filters"),
        ({"words": 5000}, "many words"),
        ({"masked": True}, "share words"),
    ],
)
def test_the_other_kernels_say_which_rule_a_layer_breaks(any_native: Native, change: LayerSizes, rule: str) -> None:
    for name in itertools.filterfalse(is_direct, listed().rows["conv2d"]):
        assert any_native.conv2d_why_not(name, **LARGE) is None
        assert rule in any_native.conv2d_why_not(name, **{**LARGE, **change})


def test_pairs_need_pairs_of_words_and_one_set(any_native: Native) -> None:
    for name in (name for name in listed().rows["conv2d"] if name.startswith("pairs_")):
        assert "odd number" in any_native.conv2d_why_not(name, **{**LARGE, "pixel_words": 3})
        assert "several sets" in any_native.conv2d_why_not(name, **LARGE, sets=2)
        assert "few words" in any_native.conv2d_why_not(name, **{**LARGE, "words": 2})
