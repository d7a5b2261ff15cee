"""Step functions besides the sign: {0, 1}, {-1, 0, +1}, +-mean, two learned values. All train by an estimator."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bittern.nn.channels import mean_magnitude
from bittern.nn.progress import register_progress
from bittern.nn.straight_through import check_unscheduled, straight_through
from bittern.ops.binarize import binarize
from bittern.ops.estimators import get_estimator


class SteHeaviside(nn.Module):
    """Activations or weights in {0, 1}::

        y = 1 if x > 0 else 0                     dL/dx by the estimator, for "ste": dL/dy * 1{|x| <= 1}

    so 0, -0.0 and NaN give 0. In front of a binary layer it exports packed, as (1 - binarize(-x)) / 2; so does a
    weight, with an additional filter of ones. Larq's ``SteHeaviside``: its ``clip_value`` c is ``estimator="ste_c"``,
    and None is ``"identity"``.
    """

    binarizes = True

    def __init__(self, *, estimator: str = "ste") -> None:
        super().__init__()
        self.estimator = check_unscheduled(estimator)

    def forward(self, x: Tensor) -> Tensor:
        if torch.compiler.is_exporting():
            return binarize(x * -1.0) * -0.5 + 0.5
        return straight_through(x, torch.gt(x.detach(), 0).to(x.dtype), self.estimator)

    def extra_repr(self) -> str:
        return f"estimator={self.estimator!r}"


class SteTern(nn.Module):
    """Activations or weights in {-1, 0, +1}::

        y = sign(x) if |x| >= threshold else 0    dL/dx by the estimator, for "ste": dL/dy * 1{|x| <= 1}

    NaN gives 0. Activations export as floats, as no operator packs two bits; weights of a binary layer as two layers of
    signs whose sum is the layer. Larq's ``SteTern``.

    Args:
        threshold: a number above 0, or ``"twn"``: 0.7 times the mean of \\|x\\| over the whole tensor (Li et al. 2016,
            Ternary Weight Networks, arXiv:1605.04711).
    """

    def __init__(self, threshold: float | Literal["twn"] = 0.05, *, estimator: str = "ste") -> None:
        if threshold != "twn" and (isinstance(threshold, str) or not threshold > 0):
            raise ValueError(f"threshold must be above 0 or 'twn', got {threshold!r}")
        super().__init__()
        self.threshold, self.estimator = threshold, check_unscheduled(estimator)

    def forward(self, x: Tensor) -> Tensor:
        real = x.detach()
        magnitude = real.abs()
        threshold = 0.7 * magnitude.mean() if self.threshold == "twn" else self.threshold
        return straight_through(x, real.sign() * magnitude.ge(threshold), self.estimator)

    def extra_repr(self) -> str:
        return f"threshold={self.threshold!r}, estimator={self.estimator!r}"


class MagnitudeAwareSign(nn.Module):
    """Weights of one magnitude per filter, for ``torch.nn.utils.parametrize`` and layers that Bittern lacks::

        y[o] = mean |W[o]| * binarize(W[o])       the mean is a constant in the backward pass

    ``BinaryConv2d(scale="mean")`` computes the same behind the convolution, which is cheaper. It exports packed.
    Liu et al. 2018, Bi-Real Net, arXiv:1808.00278, section 3.3.
    """

    binarizes = True
    progress: Tensor | None

    def __init__(self, *, estimator: str = "ste") -> None:
        super().__init__()
        self.estimator = get_estimator(estimator).name
        register_progress(self, estimator)

    def forward(self, weight: Tensor) -> Tensor:
        scale = mean_magnitude(weight).view(-1, *[1] * (weight.dim() - 1))
        return binarize(weight, self.estimator, self.progress) * scale

    def extra_repr(self) -> str:
        return f"estimator={self.estimator!r}"


class AdaBinSign(nn.Module):
    """Activations in {centre - distance, centre + distance}, one learned pair for the whole layer::

        y = distance * binarize((x - centre) / distance) + centre

    ``distance`` [1] starts at 1, ``centre`` [1] at 0. In front of a binary layer with ``binarize_input=False`` it
    exports packed. Where that layer pads, 0 is not one of the two values, and a constant image is added in float: pad
    here instead, with one of them.
    Tu et al. 2022, AdaBin, arXiv:2208.08084, section 3.3.

    Args:
        padding: pixels on each side of images [N, C, H, W].
        pad_value: of the border, -1 or +1 for the lower or upper value (as long as ``distance`` is above 0).
    """

    scales_and_thresholds = ("distance", "centre")
    progress: Tensor | None

    def __init__(
        self,
        padding: int = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        pad_value: int = -1,
        estimator: str = "approx_sign",
    ) -> None:
        if pad_value not in (-1, 1):
            raise ValueError(
                f"pad_value must be -1 or +1, got {pad_value!r}: the border must hold one of the two values"
            )
        super().__init__()
        self.padding, self.pad_value = padding, pad_value
        self.estimator = get_estimator(estimator).name
        self.distance = nn.Parameter(torch.ones(1, device=device, dtype=dtype))
        self.centre = nn.Parameter(torch.zeros(1, device=device, dtype=dtype))
        register_progress(self, estimator, device=device)

    def forward(self, x: Tensor) -> Tensor:
        distance, centre = self.distance.to(x.dtype), self.centre.to(x.dtype)
        signs = binarize((x - centre) / distance, self.estimator, self.progress)
        if self.padding:
            signs = F.pad(signs, [self.padding] * 4, value=float(self.pad_value))
        return signs * distance + centre

    def extra_repr(self) -> str:
        return f"padding={self.padding}, pad_value={self.pad_value}, estimator={self.estimator!r}"
