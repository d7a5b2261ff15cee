"""Which arguments of ATen's operators XNNPACK's conversion reads, and what becomes of the others.

A table of all that XNNPACK takes, by its own names. A new version of ExecuTorch that takes more operators, or of torch
that gives one more arguments, fails here until somebody has read its conversion.
"""

from dataclasses import dataclass

import pytest
import torch

from bittern.export.quiet import third_party_quiet

aten = torch.ops.aten


@dataclass(frozen=True)
class Arguments:
    """``honoured``: read. ``kept_away``: calls where it is not the default stay in ExecuTorch's own kernels, which read
    it, or are refused. ``rewritten``: a pass leaves the default alone. ``implied``: says nothing that shapes do not."""

    honoured: str = "self"
    kept_away: str = ""
    rewritten: str = ""
    implied: str = ""


UNARY, BINARY = Arguments(), Arguments("self other")
TABLE: dict[str, Arguments] = {
    **dict.fromkeys(("abs", "ceil", "cos", "exp", "floor", "hardswish", "log", "neg", "relu", "rsqrt"), UNARY),
    **dict.fromkeys(("sigmoid", "sin", "sqrt", "tanh"), UNARY),
    **dict.fromkeys(("div.Tensor", "mul.Tensor", "maximum", "minimum"), BINARY),
    "add.Tensor": Arguments("self other", rewritten="alpha"),
    "sub.Tensor": Arguments("self other", rewritten="alpha"),
    "addmm": Arguments("self mat1 mat2", rewritten="beta alpha"),
    "mm": Arguments("self mat2"),
    "bmm": Arguments("self mat2"),
    "linear": Arguments("input weight bias"),
    "gelu": Arguments(rewritten="approximate"),
    "upsample_bilinear2d.vec": Arguments("input align_corners", rewritten="scale_factors", implied="output_size"),
    "leaky_relu": Arguments("self negative_slope"),
    "hardtanh": Arguments("self min_val max_val"),
    "clamp": Arguments("self min max"),
    "prelu": Arguments("self weight"),
    "pow.Tensor_Scalar": Arguments(kept_away="exponent"),
    "_softmax": Arguments(kept_away="dim", implied="half_to_float"),
    "mean.dim": Arguments(kept_away="dim keepdim dtype"),
    "max.dim": Arguments("self dim", kept_away="keepdim"),
    "avg_pool2d": Arguments(
        "self kernel_size stride padding", kept_away="ceil_mode count_include_pad divisor_override"
    ),
    "max_pool2d": Arguments("self kernel_size stride padding dilation ceil_mode"),
    "convolution": Arguments("input weight bias stride padding dilation transposed output_padding groups"),
    "_native_batch_norm_legit_no_training": Arguments(
        "input weight bias running_mean running_var eps", implied="momentum"
    ),
    "cat": Arguments("tensors dim"),
    "constant_pad_nd": Arguments("self pad value"),
    "permute": Arguments("self dims"),
    "slice.Tensor": Arguments("self dim start", kept_away="step", implied="end"),
    "unsqueeze": Arguments(kept_away="dim"),
    "view": Arguments("self size"),
    "clone": Arguments(kept_away="memory_format"),
}
ELSEWHERE = {
    *("quantize_per_tensor", "dequantize_per_tensor", "quantize_affine", "dequantize_affine"),
    *("choose_qparams_affine", "_to_dim_order_copy", "_clone_dim_order"),
}
"""Operators that the exporter's graphs do not have: those of quantization, and of orders of memory."""
COPIES = {
    "permute_copy": "permute",
    "slice_copy.Tensor": "slice.Tensor",
    "unsqueeze_copy": "unsqueeze",
    "view_copy": "view",
}


def taken() -> set[str]:
    """The operators that the installed XNNPACK partitioner takes, as in the table."""
    with third_party_quiet():
        from executorch.backends.xnnpack.partition.config import ALL_PARTITIONER_CONFIGS
    names = {str(config.target_name).removesuffix(".default") for config in ALL_PARTITIONER_CONFIGS}
    return {COPIES.get(name, name) for name in names} - ELSEWHERE


def test_every_operator_that_xnnpack_takes_has_been_read() -> None:
    assert taken() == set(TABLE)


@pytest.mark.parametrize("name", TABLE)
def test_every_argument_is_honoured_or_kept_away(name: str) -> None:
    packet, _, overload = name.partition(".")
    schema = getattr(getattr(aten, packet), overload or "default")._schema
    row = TABLE[name]
    listed = " ".join((row.honoured, row.kept_away, row.rewritten, row.implied)).split()
    assert sorted(listed) == sorted(argument.name for argument in schema.arguments)
