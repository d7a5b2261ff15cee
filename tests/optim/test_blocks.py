import pytest
import torch

from bittern.optim import _blocks
from bittern.optim._blocks import blocks, filter_blocks


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_blocks, "PIECE", 10)


@pytest.mark.parametrize("shape", [(), (0,), (9,), (10,), (31,), (3, 7), (4, 3, 2, 5), (2, 0, 3)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_pieces_are_every_element_once_and_in_step(shape: tuple[int, ...], layout: torch.memory_format) -> None:
    layout = layout if len(shape) == 4 else torch.contiguous_format
    a = torch.arange(torch.Size(shape).numel(), dtype=torch.float32).view(shape).contiguous(memory_format=layout)
    for cut in (lambda *x: blocks(*x), lambda *x: (t for _, _, t in filter_blocks(*x))):
        b = torch.zeros_like(a)
        pieces = list(cut([a, a], [b, torch.zeros_like(a)]))
        for x, y in pieces:
            assert x.shape == y.shape
            y.copy_(x)
        assert torch.equal(a, b)


def test_pieces_are_no_larger_than_the_limit() -> None:
    assert [x.numel() for (x,) in blocks([torch.ones(5, 5), torch.ones(3)])] == [10, 10, 5, 3]
    assert [tuple(x.shape) for _, _, (x,) in filter_blocks([torch.ones(5, 4)])] == [(2, 4), (2, 4), (1, 4)]


def test_filters_are_never_cut() -> None:
    a = torch.randn(7, 2, 2, 2)
    pieces = list(filter_blocks([a, a.flatten()]))
    assert [tuple(x.shape) for _, _, (x,) in pieces] == [(1, 8)] * 7 + [(1, 56)]
    assert [i for i, _, _ in pieces] == [0] * 7 + [1]
    assert torch.equal(torch.cat([a[rows] for _, rows, _ in pieces[:7]]), a)


def test_tensors_of_unlike_layouts_come_whole() -> None:
    a = torch.randn(4, 3, 5, 5)
    b = a.contiguous(memory_format=torch.channels_last)
    assert [[x.data_ptr() for x in t] for t in blocks([a], [b])] == [[a.data_ptr(), b.data_ptr()]]
    ((_, rows, (x, y)),) = filter_blocks([a], [b])
    assert rows == slice(None)
    assert torch.equal(x, y)
