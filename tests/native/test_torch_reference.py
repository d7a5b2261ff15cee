"""The native operators and the PyTorch references of bittern.ops agree in every bit and float."""

import numpy as np
import pytest

from native.reference import Conv, Epilogue, pack, pack_weight, random_signs
from native.sanitized import Native, fresh

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("seed", range(12))
def test_convolutions_agree(native: Native, seed: int) -> None:
    import bittern.ops  # noqa: F401

    rng = np.random.default_rng(seed)
    groups = int(rng.integers(1, 4))
    channels, filters = (groups * int(n) for n in rng.integers(1, 40, 2))
    padding = tuple(int(p) for p in rng.integers(0, 3, 4))
    kernel, stride, dilation = (tuple(int(k) for k in rng.integers(1, 4, 2)) for _ in range(3))
    conv = Conv(channels, filters, kernel, stride, padding, dilation, groups, int(rng.integers(-1, 2)))
    x = pack(random_signs(rng, 2, 9, 8, channels) < 0)
    weight = pack_weight(random_signs(rng, filters, *kernel, channels // groups), groups)
    height, width = conv.out_size(9, 8)

    def floats(*shape: int) -> np.ndarray:
        return rng.normal(0, 1, shape).astype(np.float32)

    residual = floats(2, height, width, filters).transpose(0, 3, 1, 2)
    steps = Epilogue(-9.0, 8.0, floats(filters), floats(filters), -7.0, 9.0, floats(filters), residual)
    steps = [*steps.arguments()[:8], floats(filters), floats(filters), floats(filters), floats(filters)]
    inputs = [x, weight, *conv.arguments(), *steps]
    outputs = [
        fresh((2, filters, height, width), np.float32, channels_last=True),
        fresh((2, height, width, -(-filters // 32)), np.int32),
    ]
    operands = [torch.from_numpy(value) if isinstance(value, np.ndarray) else value for value in inputs]
    expected = torch.ops.bittern.conv2d_float_packed(*operands)
    for ours, theirs in zip(native.operator("conv2d_float_packed", inputs, outputs), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs.numpy())
