import pytest
import torch
import torch.nn.functional as F
from deploy import Apply, Deployed, quarters

from bittern.export.graph import arguments

IMAGE = quarters(2, 5, 4, 4)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: F.adaptive_avg_pool2d(x, 1),
        lambda x: x.mean((2, 3)),
        lambda x: x.mean((-1, -2)),
        lambda x: x.mean((2, 3), keepdim=True),
    ],
)
def test_every_spelling_of_global_average_pooling_becomes_one_mean(function: object) -> None:
    deployed = Deployed(Apply(function), IMAGE)  # type: ignore[arg-type]
    means = [node for node in deployed.graph.calls() if "mean" in str(node.target)]
    assert [node.args[2] for node in means] == [True]
    deployed.check_equal()


def test_other_means_stay_as_they_are() -> None:
    assert Deployed(Apply(lambda x: x.mean((1, 2))), IMAGE).operators == ["aten::mean"]


@pytest.mark.parametrize(("outputs", "operators"), [(2, ["aten::avg_pool2d"]), ((4, 3), ["aten::linear"])])
def test_adaptive_pooling_is_pooling_over_even_windows_or_a_matrix(outputs: int, operators: list[str]) -> None:
    deployed = Deployed(Apply(lambda x: F.adaptive_avg_pool2d(x, outputs)), IMAGE)
    assert deployed.operators == operators
    deployed.check_equal()


@pytest.mark.parametrize(("size", "scaled"), [(4, False), (5, True)])
def test_ceil_mode_becomes_a_border_and_a_factor_where_it_adds_windows(size: int, scaled: bool) -> None:
    deployed = Deployed(Apply(lambda x: F.avg_pool2d(x, 2, ceil_mode=True)), quarters(2, 5, size, size))
    (pool,) = deployed.graph.calls(torch.ops.aten.avg_pool2d.default)
    assert arguments(pool)["ceil_mode"] is False
    assert ("aten::mul" in deployed.operators) == scaled
    deployed.check_equal()
