import torch
from torch import Tensor, nn

from bittern.export import summary
from bittern.export.operations import Operation
from bittern.nn import BinaryConv2d
from bittern.ops.binarize import binarize


def operations(model: nn.Module, shape: tuple[int, ...]) -> list[Operation]:
    return list(summary(model, shape).operations)


class Shortcut(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = BinaryConv2d(32, 32, 3, padding=1), nn.BatchNorm2d(32)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.norm(self.conv(x))
        return y


IMAGE = 32 * 8 * 8
FLOATS, BITS = 4 * IMAGE, IMAGE // 8


def test_a_result_whose_signs_alone_are_read_takes_a_bit_an_element() -> None:
    first, second = operations(
        nn.Sequential(
            BinaryConv2d(32, 32, 3, padding=1, binarize_input=False), nn.BatchNorm2d(32), BinaryConv2d(32, 32, 1)
        ),
        (32, 8, 8),
    )
    assert (first.path, first.kind) == ("0", "float conv")  # on packed weights
    assert first.written_bytes == BITS
    assert (second.kind, second.written_bytes) == ("binary pointwise", FLOATS)
    assert second.read_bytes == BITS + 32 * 32 / 8


def test_a_shortcut_keeps_floats_and_bits_alive() -> None:
    pack, conv = operations(Shortcut(), (32, 8, 8))
    assert (pack.kind, conv.kind) == ("pack", "binary conv")
    assert pack.live_bytes == FLOATS + BITS  # the input, and its bits
    # The input waits for the addition, which joins the convolution; so does the result.
    assert conv.read_bytes == FLOATS + BITS + 32 * 32 * 9 / 8 + 2 * 32 * 4  # with the scale and bias of the BatchNorm
    assert (conv.written_bytes, conv.live_bytes) == (FLOATS, FLOATS + BITS + FLOATS)


def test_the_peak_is_where_most_is_alive() -> None:
    total = summary(nn.Sequential(nn.Conv2d(1, 2, 1), nn.Conv2d(2, 16, 1), nn.Conv2d(16, 1, 1)), (1, 8, 8))
    assert [op.live_bytes for op in total.operations] == [4 * 64 * (1 + 2), 4 * 64 * (2 + 16), 4 * 64 * (16 + 1)]
    assert total.peak is total.operations[1]
    assert total.to_json()["activation_bytes"] == 4 * 64 * 18
    assert total.to_json()["activation_peak"] == "1"


def test_bytes_of_a_layers_output_are_those_that_are_kept() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1), nn.BatchNorm2d(32), BinaryConv2d(32, 32, 1), BinaryConv2d(32, 32, 1),
        nn.Flatten(), nn.Linear(2048, 2),
    )  # fmt: skip
    layers = {layer.path: layer.output_bytes for layer in summary(model, (3, 8, 8)).layers}
    assert layers == {"0": FLOATS, "1": FLOATS, "2": BITS, "3": FLOATS, "5": 8}


def test_bits_of_fewer_channels_than_a_word_has_take_whole_words() -> None:
    pack, conv = operations(BinaryConv2d(3, 40, 1), (3, 8, 8))
    assert (pack.written_bytes, conv.written_bytes) == (4 * 64, 4 * 40 * 64)


def test_signs_that_are_taken_twice_of_one_tensor_are_kept_once() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = BinaryConv2d(32, 32, 1), BinaryConv2d(32, 32, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.a(x) + self.b(x)

    assert [op.kind for op in operations(Twice(), (32, 8, 8))] == ["pack", "binary pointwise", "binary pointwise"]


def test_views_and_padding_take_no_memory_and_in_place_steps_no_more() -> None:
    class Views(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            y = nn.functional.pad(x, (1, 1, 1, 1))
            return nn.functional.avg_pool2d(y.view(1, 32, 10, 10), 2).relu_()

    (pool,) = operations(Views(), (32, 8, 8))
    assert (pool.kind, pool.read_bytes, pool.written_bytes) == ("pool", FLOATS, 4 * 32 * 25)


def test_concatenated_signs_stay_bits() -> None:
    class Cat(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            y = torch.cat([binarize(x), binarize(x + 1)], 1)
            return nn.functional.conv2d(y, binarize(self.weight))

        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(32, 64, 1, 1))

    assert operations(Cat(), (32, 8, 8))[-1].read_bytes == 2 * BITS + 32 * 64 / 8


def test_float_steps_that_run_by_themselves_are_counted_and_folded_ones_are_not() -> None:
    folded, alone = operations(
        nn.Sequential(nn.Conv2d(32, 32, 1), nn.BatchNorm2d(32), nn.ReLU(), nn.Conv2d(32, 32, 1), nn.PReLU()), (32, 8, 8)
    )
    assert folded.elementwise_bytes == 0
    assert alone.elementwise_bytes == 2 * FLOATS
