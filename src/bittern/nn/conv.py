"""``BinaryConv2d`` and ``BinaryConv1d``: ``torch.nn.Conv2d`` and ``Conv1d`` on signs."""

import torch
from torch import nn

from bittern.nn.binary_conv import BinaryConv, PaddingMode, check_border
from bittern.nn.channels import Scale
from bittern.nn.weights import WeightTransform


class BinaryConv2d(BinaryConv, nn.Conv2d):
    """2-D convolution of signs by signs::

        y = a * conv2d(binarize(x), binarize(W)) + b

    The positional arguments are those of ``torch.nn.Conv2d``, except that ``bias`` is False by default. ``W`` is the
    real ("latent") weight that the optimizer updates; gradients pass both signs by the estimators' equations.

    Args:
        scale: ``a`` per output channel: ``"none"`` (1), ``"mean"`` (mean |W| of the filter, a constant in the backward
            pass; Liu et al. 2021, AdamBNN, arXiv:2106.11309, eq. 2; dL/dW has this factor), ``"mean_forward"`` (the
            same except that dL/dW lacks the factor, as in their code), ``"layer_mean"`` (the mean over all filters;
            Zhou et al. 2016, DoReFa-Net, arXiv:1606.06160), ``"power_of_two"`` (the mean of ``"mean"``, rounded to the
            nearest power of two in its logarithm; Qin et al. 2020, IR-Net, arXiv:1909.10788) or ``"learned"`` (a
            parameter ``scale`` [O], first 1; Bulat and Tzimiropoulos 2019, XNOR-Net++, arXiv:1909.13863, case 1). In
            front of BatchNorm it is redundant.
        estimator: gradient estimator of the input's sign.
        weight_estimator: gradient estimator of the weight's sign.
        padding: as in torch; ``"same"`` also works with a stride, as Keras' SAME (``same_padding``).
        pad_value: value of the border, 0, +1 or -1. A border of 0 adds nothing to the sum.
        binarize_input: False takes ``x`` as it is, for instance behind an ``RSign``.
        binarize_weight: False uses the real ``W`` and no mean as scale: step 1 of AdamBNN's two-step training.
        weight_transform: ``"none"``; ``"balanced"`` binarizes the standardized W of each filter, and computes ``a``
            from it; ``"adabin"`` has two values per filter (``nn.weights.binary_weight``).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: str | int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = False,
        padding_mode: PaddingMode = "zeros",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        scale: Scale = "none",
        estimator: str = "approx_sign",
        weight_estimator: str = "ste",
        pad_value: int = 0,
        binarize_input: bool = True,
        binarize_weight: bool = True,
        weight_transform: WeightTransform = "none",
    ) -> None:
        strided_same = check_border(pad_value, padding_mode, padding, stride)
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            "valid" if strided_same else padding,
            dilation,
            groups,
            bias,
            padding_mode,
            device=device,
            dtype=dtype,
        )
        self._set_border(strided_same, pad_value)
        self._set_up(scale, estimator, weight_estimator, binarize_input, binarize_weight, weight_transform)


class BinaryConv1d(BinaryConv, nn.Conv1d):
    """1-D convolution of signs by signs, of signals [N, C, L]::

        y = a * conv1d(binarize(x), binarize(W)) + b

    The positional arguments are those of ``torch.nn.Conv1d``, except that ``bias`` is False by default. The keyword
    arguments, and ``padding="same"`` with a stride, mean the same as in ``BinaryConv2d``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int],
        stride: int | tuple[int] = 1,
        padding: str | int | tuple[int] = 0,
        dilation: int | tuple[int] = 1,
        groups: int = 1,
        bias: bool = False,
        padding_mode: PaddingMode = "zeros",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        scale: Scale = "none",
        estimator: str = "approx_sign",
        weight_estimator: str = "ste",
        pad_value: int = 0,
        binarize_input: bool = True,
        binarize_weight: bool = True,
        weight_transform: WeightTransform = "none",
    ) -> None:
        strided_same = check_border(pad_value, padding_mode, padding, stride)
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            "valid" if strided_same else padding,
            dilation,
            groups,
            bias,
            padding_mode,
            device=device,
            dtype=dtype,
        )
        self._set_border(strided_same, pad_value)
        self._set_up(scale, estimator, weight_estimator, binarize_input, binarize_weight, weight_transform)
