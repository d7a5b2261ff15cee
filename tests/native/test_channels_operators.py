"""cat, slice and negate equal the equations for any number of words, pixels and threads."""

import numpy as np
import pytest
from numpy.typing import NDArray

from native.sanitized import Native, NativeError, fresh

WORDS = (1, 2, 3, 15, 16, 17, 33)


def bits(*shape: int) -> NDArray[np.int32]:
    return np.random.default_rng(len(shape)).integers(-(2**31), 2**31, shape, np.int32)


@pytest.mark.parametrize("left", WORDS)
@pytest.mark.parametrize("right", [1, 4, 17])
@pytest.mark.parametrize("threads", [1, 2])
def test_cat(native: Native, left: int, right: int, threads: int) -> None:
    a, b = bits(2, 61, 60, left), bits(2, 61, 60, right) + np.int32(1)
    expected = np.concatenate([a, b], -1)
    (out,) = native.operator("cat", [a, b], [fresh(expected.shape, np.int32)], threads=threads)
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("threads", [1, 2])
def test_slice(native: Native, words: int, threads: int) -> None:
    x = bits(3, 1000, words)
    for first, count in {(0, words), (0, 1), (words - 1, 1), (words // 3, words - words // 2)}:
        (out,) = native.operator("slice", [x, first, count], [fresh((3, 1000, count), np.int32)], threads=threads)
        np.testing.assert_array_equal(out, x[..., first : first + count])


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("threads", [1, 2])
def test_negate(native: Native, words: int, threads: int) -> None:
    x, mask = bits(5000, words), bits(words)
    (out,) = native.operator("negate", [x, mask], [fresh(x.shape, np.int32)], threads=threads)
    np.testing.assert_array_equal(out, x ^ mask)


@pytest.mark.parametrize(
    ("operator", "arguments", "message"),
    [
        ("cat", [bits(2, 3, 1), bits(3, 2, 1)], r"cat\.out: a and b must agree in all dimensions but the last"),
        ("cat", [bits(2, 1), bits(2, 1, 1)], "a and b must agree"),
        ("slice", [bits(2, 3), 1, 3], r"slice\.out: words 1 to 4 are not all in the 3 words of x"),
        ("slice", [bits(2, 3), -1, 1], "first must be in"),
        ("slice", [bits(2, 3), 0, 0], "words must be in"),
        ("negate", [bits(2, 3), bits(2)], r"negate\.out: mask must be of shape \[3\], has 2 words in 1 dimensions"),
        ("negate", [bits(2, 3), bits(3, 1)], r"mask must be of shape \[3\]"),
        ("negate", [bits(2, 3).astype(np.float32), bits(3)], "x must be of type Int"),
    ],
)
def test_what_does_not_fit_is_refused(native: Native, operator: str, arguments: list[object], message: str) -> None:
    with pytest.raises(NativeError, match=message):
        native.operator(operator, arguments, [fresh((2, 3), np.int32)])
