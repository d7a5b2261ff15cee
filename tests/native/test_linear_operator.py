"""linear and its output forms equal the equations, in every bit and float, for every instruction set."""

import numpy as np
import pytest

from native.reference import Epilogue, pack, pack_weight, random_signs, words
from native.sanitized import Native, fresh

SIZES = (1, 2, 15, 16, 17, 31, 32, 33, 64, 65, 100)


def check(native: Native, rows: tuple[int, ...], features: int, filters: int, *, steps: bool = False) -> None:
    rng = np.random.default_rng(features * 1000 + filters)
    x, weight = random_signs(rng, *rows, features), random_signs(rng, filters, features)
    dot = (x @ weight.T).astype(np.int64)
    operands: list[object] = [pack(x < 0), pack_weight(weight[:, None, None, :]), features, filters]

    def floats(*shape: int) -> np.ndarray:
        return rng.normal(0, 2, shape).astype(np.float32)

    threshold = floats(filters) if steps else None
    epilogue = Epilogue()
    if steps:
        epilogue = Epilogue(-9.0, 9.0, floats(filters), floats(filters), -8.0, 8.0, floats(filters), floats(*dot.shape))
    v = epilogue(dot)
    bits = pack(v < (0 if threshold is None else threshold))
    float_output = fresh(dot.shape, np.float32)
    packed_output = fresh((*dot.shape[:-1], words(filters)), np.int32)

    arguments = [*operands, *epilogue.arguments()]
    (result,) = native.operator("linear", arguments, [float_output])
    np.testing.assert_array_equal(result, v)
    (packed,) = native.operator("linear_packed", [*arguments, threshold], [packed_output])
    np.testing.assert_array_equal(packed, bits)
    result, packed = native.operator("linear_float_packed", [*arguments, threshold], [float_output, packed_output])
    np.testing.assert_array_equal(result, v)
    np.testing.assert_array_equal(packed, bits)
    limit = rng.integers(dot.min() - 1, dot.max() + 2, filters, dtype=np.int32)
    (packed,) = native.operator("linear_threshold", [*operands, limit], [packed_output])
    np.testing.assert_array_equal(packed, pack(dot < limit))


@pytest.mark.parametrize("features", SIZES)
def test_any_number_of_features(native: Native, features: int) -> None:
    check(native, (3,), features, 40)


@pytest.mark.parametrize("filters", SIZES)
def test_any_number_of_filters(native: Native, filters: int) -> None:
    check(native, (5,), 70, filters, steps=True)


@pytest.mark.parametrize("rows", [(), (1,), (2,), (9,), (2, 3), (2, 1, 5, 2)])
def test_any_leading_dimensions(native: Native, rows: tuple[int, ...]) -> None:
    check(native, rows, 33, 35, steps=True)


@pytest.mark.parametrize(
    ("features", "filters"), [(500, 17), (640, 40), (1024, 64), (1000, 90), (16_384, 17), (16_500, 17)]
)
def test_batches_of_long_rows(native: Native, features: int, filters: int) -> None:
    """Those that run on conv2d_pairs, up to 16,384 features, or conv2d_lookup if the set has it."""
    check(native, (33,), features, filters, steps=features < 10_000)
