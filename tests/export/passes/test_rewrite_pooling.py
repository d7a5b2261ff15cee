import pytest
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
    deployed = Deployed(Apply(lambda x: x.mean((1, 2))), IMAGE)
    assert deployed.operators == ["aten::mean"]
    assert F.adaptive_avg_pool2d(IMAGE, 2).shape == (2, 5, 2, 2)
    assert Deployed(Apply(lambda x: F.adaptive_avg_pool2d(x, 2)), IMAGE).operators == ["aten::adaptive_avg_pool2d"]


@pytest.mark.parametrize(("size", "rewritten"), [(4, True), (5, False)])
def test_ceil_mode_goes_where_it_adds_no_window(size: int, rewritten: bool) -> None:
    deployed = Deployed(Apply(lambda x: F.avg_pool2d(x, 2, ceil_mode=True)), quarters(2, 5, size, size))
    (pool,) = deployed.graph.calls()
    assert (arguments(pool)["ceil_mode"] is False) == rewritten
    deployed.check_equal()
