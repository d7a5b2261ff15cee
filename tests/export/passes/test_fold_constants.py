import torch
import torch.nn.functional as F
from deploy import Apply, Deployed, quarters
from torch import Tensor

from bittern.ops import binarize


def test_expressions_of_weights_are_computed_once_at_export() -> None:
    def layer(x: Tensor, w: Tensor, s: Tensor) -> Tensor:
        centred = w - w.mean((1, 2, 3), keepdim=True)
        return F.conv2d(binarize(x), torch.where(centred < 0, -1.0, 1.0) * (s * 2).reshape(-1, 1, 1, 1))

    deployed = Deployed(Apply(layer, w=quarters(8, 5, 3, 3), s=torch.full((8,), 0.5)), quarters(2, 5, 6, 6))
    assert deployed.operators == ["pack", "conv2d"]
    deployed.check_equal()
