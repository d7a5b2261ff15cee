"""``BinaryConv2d``: ``torch.nn.Conv2d`` on signs."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bittern.nn.binary_layer import BinaryLayer
from bittern.nn.channels import Scale, per_channel
from bittern.nn.same import pad_same
from bittern.nn.weights import WeightTransform

PAD_VALUES = (0, 1, -1)
PaddingMode = Literal["zeros", "reflect", "replicate", "circular"]


class BinaryConv2d(BinaryLayer, nn.Conv2d):
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
        if pad_value not in PAD_VALUES:
            raise ValueError(f"pad_value must be 0, +1 or -1, got {pad_value!r}")
        if pad_value and padding_mode != "zeros":
            raise ValueError(
                f"pad_value {pad_value:+d} and padding_mode {padding_mode!r} both set the border's value; give one"
            )
        strided_same = padding == "same" and stride not in (1, (1, 1))  # which torch refuses
        if strided_same and padding_mode != "zeros":
            raise ValueError(f"padding 'same' with a stride goes with padding_mode 'zeros', got {padding_mode!r}")
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
        if strided_same:
            self.padding = "same"
        self.strided_same = strided_same
        self.pad_value = pad_value
        self._set_up(scale, estimator, weight_estimator, binarize_input, binarize_weight, weight_transform)

    def forward(self, x: Tensor) -> Tensor:
        x, weight, scale = self._operands(x)
        if scale is None:
            return self._convolve(x, weight, self.bias)
        y = self._convolve(x, weight, None)
        y = y * per_channel(scale, y)
        return y if self.bias is None else y + per_channel(self.bias, y)

    def _convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if self.strided_same:
            x, padding = pad_same(x, self.kernel_size, self.stride, self.dilation, float(self.pad_value))
            return F.conv2d(x, weight, bias, self.stride, padding, self.dilation, self.groups)
        if self.pad_value == 0:
            return self._conv_forward(x, weight, bias)  # type: ignore[no-any-return]
        x = F.pad(x, self._reversed_padding_repeated_twice, value=float(self.pad_value))
        return F.conv2d(x, weight, bias, self.stride, 0, self.dilation, self.groups)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, pad_value={self.pad_value}"
