import torch.nn.functional as F
from deploy import Apply, Deployed, quarters

from bittern.ops import binarize


def test_images_behind_a_one_channel_input_are_ordered_once() -> None:
    def layers(x, a, b):  # type: ignore[no-untyped-def]
        y = F.conv2d(x, a)
        return F.conv2d(binarize(y), binarize(b)) + y

    deployed = Deployed(Apply(layers, a=quarters(8, 1, 3, 3), b=quarters(8, 8, 1, 1)), quarters(2, 1, 6, 6))
    assert deployed.operators == ["aten::conv2d", "aten::_to_copy", "pack", "conv2d"]
    deployed.check_equal()


def test_images_that_are_channels_last_already_are_not_copied() -> None:
    def layers(x, a, b):  # type: ignore[no-untyped-def]
        y = F.conv2d(x, a)
        return F.conv2d(binarize(y), binarize(b)) + y

    deployed = Deployed(Apply(layers, a=quarters(8, 3, 3, 3), b=quarters(8, 8, 1, 1)), quarters(2, 3, 6, 6))
    assert deployed.operators == ["aten::conv2d", "pack", "conv2d"]
    deployed.check_equal()
