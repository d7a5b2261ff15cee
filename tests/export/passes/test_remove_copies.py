import pytest
import torch
from deploy import Apply, Deployed, quarters
from torch import nn


def test_dropout_leaves_nothing_behind() -> None:
    deployed = Deployed(nn.Sequential(nn.Sigmoid(), nn.Dropout(0.5), nn.Sigmoid()), quarters(2, 3))
    assert deployed.operators == ["aten::sigmoid", "aten::sigmoid"]
    deployed.check_equal()


@pytest.mark.parametrize("order", [torch.channels_last, torch.contiguous_format])
def test_an_order_of_memory_that_a_module_asks_for_is_left_to_the_back_end(order: torch.memory_format) -> None:
    deployed = Deployed(
        Apply(lambda x: torch.sigmoid(x.contiguous(memory_format=order)).flatten(1)), quarters(2, 3, 4, 4)
    )
    assert deployed.operators[0] == "aten::sigmoid"
    assert set(deployed.operators[1:]) <= {"aten::view", "aten::reshape"}
    deployed.check_equal()


def test_a_cast_to_the_type_of_another_tensor_reads_none_of_its_values() -> None:
    scale = torch.ones(3)
    deployed = Deployed(Apply(lambda x: x * scale.type_as(x).abs()), quarters(2, 3))
    assert deployed.operators == ["aten::mul"]
    deployed.check_equal()
    deployed = Deployed(Apply(lambda x: x * (x > 0).type_as(scale)), quarters(2, 3))
    assert deployed.operators == ["aten::gt", "aten::_to_copy", "aten::mul"]
    deployed.check_equal()
