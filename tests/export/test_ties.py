"""An integer that differs from the module's is explained by a tie, and by nothing else."""

from collections.abc import Callable

import pytest
import torch
from several import Function
from torch import Tensor

from bittern.export import capture
from bittern.export.signature import output_nodes
from bittern.export.verify.ties import distances, read_by

ROWS = torch.tensor([[0.0, 4.0, 3.0, 4.0 - 1e-5], [-2.0, 1.0, -8.0, 0.5]])
DECISIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "argmax": lambda x: x.argmax(1),
    "argmax, kept": lambda x: x.argmax(-1, keepdim=True),
    "max": lambda x: x.max(1).indices,
    "max, as int32": lambda x: x.max(1)[1].int(),
    "argmin of the negative": lambda x: (-x).argmin(1),
    "argmax, in another shape": lambda x: x.argmax(1)[:, None],
}


def apart(function: Callable[[Tensor], Tensor], actual: Tensor, x: Tensor = ROWS) -> Tensor:
    """What a result that differs is explained by, for images ``x``."""
    captured = capture(Function(function), x)
    (node,) = output_nodes(captured.graph)
    names = read_by(node)
    values: dict[str, Tensor] = {}

    class Values(torch.fx.Interpreter):
        def run_node(self, n: torch.fx.Node) -> object:
            result = super().run_node(n)
            if n.name in names:
                values[n.name] = result
            return result

    expected = Values(captured.graph.module).run(x)
    return distances(node, actual.to(expected.dtype).reshape(expected.shape), expected, values)


@pytest.mark.parametrize("decision", DECISIONS)
def test_another_index_is_as_far_away_as_its_value(decision: str) -> None:
    found = apart(DECISIONS[decision], torch.tensor([3, 1])).flatten()
    # 4 and 4 - 1e-5, of which 8 is the largest magnitude; float32 keeps two digits of the difference.
    assert found[0].item() == pytest.approx(1e-5 / 8, rel=0.1)
    assert found[1] == 0
    assert apart(DECISIONS[decision], torch.tensor([2, 3])).flatten().tolist() == [1 / 8, 0.5 / 8]


@pytest.mark.parametrize("decision", ["argmax", "max"])
@pytest.mark.parametrize("index", [4, -1, 2**31 - 1])
def test_an_index_that_there_is_not_is_no_tie(decision: str, index: int) -> None:
    assert torch.isinf(apart(DECISIONS[decision], torch.tensor([index, 1]))).any()


@pytest.mark.parametrize("sign", ["gt", "ge", "lt", "le"])
def test_a_comparison_turns_where_both_sides_are_as_large(sign: str) -> None:
    x = torch.tensor([[2.0, 1.0 + 1e-6, 1.0], [-8.0, 1.0, 3.0]])
    compare = getattr(torch, sign)
    found = apart(lambda x: compare(x, 1.0), ~compare(x, 1.0), x)
    torch.testing.assert_close(found, (x - 1).abs() / 8)
    between = apart(lambda x: compare(x, x * 0.5), ~compare(x, x * 0.5), x)
    torch.testing.assert_close(between, x.abs() * 0.5 / 8)


@pytest.mark.parametrize(
    "function",
    [lambda x: x.round().int(), lambda x: x.argmax(1) + 1, lambda x: x.int(), lambda x: (x > 0) & (x < 3)],
    ids=["round", "sum", "cast", "and"],
)
def test_other_integers_are_equal_or_wrong(function: Callable[[Tensor], Tensor]) -> None:
    expected = function(ROWS)
    other = ~expected if expected.dtype == torch.bool else expected + 1
    assert torch.isinf(apart(function, other)).all()
    assert not apart(function, expected).any()


def test_sorted_places_are_ties_where_the_values_are() -> None:
    found = apart(lambda x: x.topk(2, 1).indices, torch.tensor([[3, 1], [1, 0]]))
    assert found[0].max() < 1e-5
    assert found[1].tolist() == [0, 2.5 / 8]
