"""What all binary layers share: their keyword arguments, and the operands made of them."""

from torch import Tensor, nn

from bittern.nn.channels import check_scale, output_scale, scale_in_front
from bittern.nn.progress import register_progress
from bittern.nn.weights import WeightTransform, binary_weight, check_weight_transform
from bittern.ops.binarize import binarize
from bittern.ops.estimators import get_estimator


class BinaryLayer(nn.Module):
    """A mixin in front of a torch layer; ``BinaryConv2d`` explains the arguments."""

    latent_weights = ("weight",)
    scales_and_thresholds = ("scale",)

    weight: Tensor
    scale: nn.Parameter | None
    progress: Tensor | None

    def _set_up(
        self,
        scale: str,
        estimator: str,
        weight_estimator: str,
        binarize_input: bool,
        binarize_weight: bool,
        weight_transform: WeightTransform,
    ) -> None:
        """Call it once ``weight`` exists; ValueError for an argument that is unknown or does not fit the others."""
        check_scale(scale)
        filters = self._filters()
        check_weight_transform(weight_transform, scale, filters.shape[1:].numel())
        self.scale_kind = scale
        self.weight_transform = weight_transform
        self.estimator = get_estimator(estimator).name
        self.weight_estimator = get_estimator(weight_estimator).name
        self.binarize_input = binarize_input
        self.binarize_weight = binarize_weight
        ones = self.weight.new_ones(len(filters))
        self.register_parameter("scale", nn.Parameter(ones) if scale == "learned" else None)
        register_progress(self, estimator, weight_estimator, device=self.weight.device)

    def _filters(self) -> Tensor:
        """The real weights, [O, ...]: all that make one output channel in a row."""
        return self.weight

    def _operands(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Input and filters [O, ...] as the layer multiplies them, and the scale [O] of its outputs, None for 1."""
        if self.binarize_input:
            x = binarize(x, self.estimator, self.progress)
        weight = real = self._filters()
        if self.binarize_weight:
            weight, real = binary_weight(weight, self.weight_transform, self.weight_estimator, self.progress)
        scale = output_scale(self.scale_kind, real, self.scale, binarized=self.binarize_weight)
        return x, *scale_in_front(self.scale_kind, weight, scale)

    def extra_repr(self) -> str:
        return (
            f"{super().extra_repr()}, scale={self.scale_kind!r}, estimator={self.estimator!r}, "
            f"weight_estimator={self.weight_estimator!r}, binarize_input={self.binarize_input}, "
            f"binarize_weight={self.binarize_weight}, weight_transform={self.weight_transform!r}"
        )
