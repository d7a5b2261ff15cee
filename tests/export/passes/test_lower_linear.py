import pytest
import torch.nn.functional as F
from deploy import Apply, Deployed, powers_of_two, quarters

from bittern.ops import binarize


@pytest.mark.parametrize("features", [1, 31, 32, 33, 100])
@pytest.mark.parametrize("rows", [(1,), (3,), (2, 5)])
def test_a_linear_layer_of_signs_is_packed(features: int, rows: tuple[int, ...]) -> None:
    weight, scale, bias = quarters(10, features), powers_of_two(10, 1), quarters(10)
    module = Apply(lambda x, w, s, b: F.linear(binarize(x), binarize(w) * s, b), w=weight, s=scale, b=bias)
    deployed = Deployed(module, quarters(*rows, features))
    assert deployed.operators == ["pack", "linear"]
    deployed.check_equal()


def test_a_chain_of_linear_layers_passes_bits_and_integers() -> None:
    module = Apply(
        lambda x, a, t, b: F.linear(binarize(F.linear(binarize(x), binarize(a)) + t), binarize(b)),
        a=quarters(40, 20),
        t=quarters(40),
        b=quarters(10, 40),
    )
    deployed = Deployed(module, quarters(3, 20))
    assert deployed.operators == ["pack", "linear_threshold", "linear"]
    deployed.check_equal()
