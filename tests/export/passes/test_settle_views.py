import torch.nn.functional as F
from deploy import Apply, Deployed, quarters

from bittern.ops import binarize


def test_a_view_of_an_image_that_a_packed_layer_reordered_copies() -> None:
    def layers(x, a, b):  # type: ignore[no-untyped-def]
        y = F.conv2d(binarize(F.conv2d(x, a)), binarize(b)) * 0.5
        return y.view(y.shape[0], -1)

    deployed = Deployed(Apply(layers, a=quarters(8, 1, 3, 3), b=quarters(8, 8, 1, 1)), quarters(2, 1, 6, 6))
    assert deployed.operators == ["aten::conv2d", "pack", "conv2d", "aten::reshape"]
    deployed.check_equal()


def test_a_view_of_memory_in_order_stays_one() -> None:
    deployed = Deployed(Apply(lambda x: (x * 2).view(2, 6, 6)), quarters(2, 1, 6, 6))
    assert deployed.operators == ["aten::mul", "aten::view"]
    deployed.check_equal()
