import torch
from deploy import Apply, Deployed, quarters
from torch import nn


def test_dropout_leaves_nothing_behind() -> None:
    deployed = Deployed(nn.Sequential(nn.ReLU(), nn.Dropout(0.5), nn.ReLU()), quarters(2, 3))
    assert deployed.operators == ["aten::relu", "aten::relu"]
    deployed.check_equal()


def test_a_copy_that_changes_the_order_of_memory_stays() -> None:
    deployed = Deployed(Apply(lambda x: torch.relu(x).flatten(1)), quarters(2, 3, 4, 4))
    assert deployed.operators == ["aten::relu", "aten::_to_copy", "aten::_unsafe_view"]
    deployed.check_equal()


def test_a_cast_to_the_type_of_another_tensor_reads_none_of_its_values() -> None:
    scale = torch.ones(3)
    deployed = Deployed(Apply(lambda x: x * scale.type_as(x).abs()), quarters(2, 3))
    assert deployed.operators == ["aten::mul"]
    deployed.check_equal()
    deployed = Deployed(Apply(lambda x: x * (x > 0).type_as(scale)), quarters(2, 3))
    assert deployed.operators == ["aten::gt", "aten::_to_copy", "aten::mul"]
    deployed.check_equal()
