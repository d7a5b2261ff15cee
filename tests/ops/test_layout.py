import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bittern.ops import layout

CHANNELS = [1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100]


def random_bits(*shape: int) -> torch.Tensor:
    return torch.randint(0, 2, shape, generator=torch.Generator().manual_seed(0)).bool()


@pytest.mark.parametrize("channels", CHANNELS)
def test_channel_c_is_bit_c_mod_32_of_word_c_div_32(channels: int) -> None:
    for channel in range(channels):
        bits = torch.zeros(channels, dtype=torch.bool)
        bits[channel] = True
        packed = [word & 0xFFFFFFFF for word in layout.pack_bits(bits).tolist()]
        expected = [0] * layout.words(channels)
        expected[channel // 32] = 1 << (channel % 32)
        assert packed == expected


@pytest.mark.parametrize("channels", CHANNELS)
def test_unpacking_undoes_packing(channels: int) -> None:
    bits = random_bits(3, 2, channels)
    packed = layout.pack_bits(bits)
    assert packed.dtype == torch.int32
    assert packed.shape == (3, 2, layout.words(channels))
    assert torch.equal(layout.unpack_bits(packed, channels), bits)


@pytest.mark.parametrize("groups", [1, 2, 3, 17, 40])
@pytest.mark.parametrize("per_group", [1, 3, 8, 15, 16, 17, 33])
@pytest.mark.parametrize("channels", [1, 4, 31, 32, 33])
def test_unpacking_weights_undoes_packing_them(groups: int, per_group: int, channels: int) -> None:
    signs = torch.where(random_bits(groups * per_group, channels, 3, 2), -1.0, 1.0).double()
    packed = layout.pack_weight(signs, groups)
    assert packed.shape == layout.WeightLayout(groups * per_group, channels, 6, groups).shape
    assert torch.equal(layout.unpack_weight(packed, groups * per_group, channels, (3, 2), groups), signs)


def test_words_of_a_filter_run_over_rows_then_columns_then_channels() -> None:
    signs = torch.ones(16, 40, 2, 3)
    signs[5, 33, 1, 2] = -1
    packed = layout.pack_weight(signs)
    ((block, word, lane),) = packed.nonzero().tolist()
    assert (block, word, lane) == (0, (1 * 3 + 2) * 2 + 1, 5)
    assert packed[block, word, lane] == 1 << (33 % 32)


def test_filters_that_fill_up_a_block_are_zero() -> None:
    packed = layout.pack_weight(-torch.ones(3, 32, 1, 1))
    assert packed.shape == (1, 1, 16)
    assert packed[0, 0].tolist() == [-1] * 3 + [0] * 13


@pytest.mark.parametrize(
    ("filters", "channels", "groups", "shape"),
    [
        (40, 70, 1, (3, 3, 16)),  # ceil(40 / 16) blocks of ceil(70 / 32) words
        (64, 32, 2, (4, 1, 16)),  # whole blocks of whole words: as two layers side by side
        (6, 1, 6, (1, 1, 16)),  # depthwise: groups fill a block together
        (100, 1, 100, (7, 1, 16)),
        (24, 8, 3, (2, 1, 16)),  # two groups of 8 filters share a block; 16 channels lie in one word
        (10, 40, 2, (1, 3, 16)),  # three groups would fit: both stand in one block, which reads all 80 channels
        (96, 48, 2, (6, 2, 16)),  # channels 48 to 95 lie in words 1 and 2
    ],
)
def test_groups_share_blocks_and_words(filters: int, channels: int, groups: int, shape: tuple[int, int, int]) -> None:
    assert tuple(layout.pack_weight(torch.ones(filters, channels, 1, 1), groups).shape) == shape


def test_bits_of_a_group_stand_where_its_channels_stand_in_the_packed_input() -> None:
    packed = layout.pack_weight(-torch.ones(40, 1, 1, 1), 40)  # depthwise: filter o reads channel o
    for o in range(40):
        block, lane = divmod(o, 16)
        word = 0 if block < 2 else 1
        assert packed[block, 0, lane] & 0xFFFFFFFF == 1 << (o - 32 * word)


@given(st.lists(st.booleans(), min_size=1, max_size=200))
def test_unused_bits_are_zero(flags: list[bool]) -> None:
    packed = layout.pack_bits(torch.tensor(flags))
    assert sum(bin(word & 0xFFFFFFFF).count("1") for word in packed.tolist()) == sum(flags)


@pytest.mark.parametrize("channels", [1, 32, 33])
def test_strides_do_not_matter(channels: int) -> None:
    bits = random_bits(channels, 4, 3).movedim(0, -1)
    packed = layout.pack_bits(bits)
    assert torch.equal(packed, layout.pack_bits(bits.contiguous()))
    turned = packed.movedim(0, 1).contiguous().movedim(0, 1)
    assert torch.equal(layout.unpack_bits(turned, channels), bits)


@pytest.mark.parametrize("filters", [1, 16, 17, 40])
def test_filters_of_one_word_survive_the_round_trip(filters: int) -> None:
    signs = torch.where(random_bits(filters, 20), -1.0, 1.0)
    assert torch.equal(layout.unpack_weight(layout.pack_weight(signs), filters, 20, (1, 1), 1).flatten(1), signs)
