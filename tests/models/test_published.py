"""Every architecture against what was published about it: parameters, shapes of weights, multiply-accumulates."""

from collections import Counter

import pytest
from torch import nn

from bittern.models import get_model
from models.small import MODELS, costs, full

PARAMETERS = {
    "bi-real-net-18-larq": 11_699_112,
    "binary-alexnet": 61_859_192,
    "binary-densenet-28": 5_150_504,
    "binary-densenet-37": 8_734_120,
    "binary-densenet-37-dilated": 8_734_120,
    "binary-densenet-45": 13_939_240,
    "binary-resnet-e-18": 11_699_368,
    "dorefanet": 62_403_912,
    "real-to-binary": 11_995_624,
    "xnor-net": 62_396_768,
}
"""As Keras counts: BatchNorm's running means and variances are parameters too."""

LEARNED_PARAMETERS = {"meliusnet-22": 6_944_584, "reactnet-a": 29_343_592}
"""As published, without BatchNorm's running statistics. QuickNet, which is counted in a third way, has its own test."""

BINARY_PARAMETERS = {"binarynet": 10_352_000, "reactnet-a": 28_253_184}

MACS = {
    "bi-real-net-18-larq": (1.676, 137.8),
    "binary-alexnet": (0.769, 72.9),
    "binary-densenet-28": (3.587, 202),
    "binary-densenet-37": (4.507, 200),
    "binary-densenet-37-dilated": (7.774, 453),
    "binary-densenet-45": (6.431, 244),
    "binary-resnet-e-18": (1.676, 137.8),
    "meliusnet-22": (4.624, 136),
    "real-to-binary": (1.676, 138.1),
    "xnor-net": (1.026, 113),
    # Without the blurs, which are not trained: 9 * (56 / 2)^2 * 64 and so on.
    "quicknet": (1.850, 28.9 + 0.790),
    "quicknet-large": (3.699, 28.9 + 0.790),
    "quicknet-small": (1.156, 15.5 + 0.452),
    # 2.92 G of 1-bit weights by 2-bit activations, and 125 M of floats: none are products of signs.
    "dorefanet": (0, 2920 + 125),
}
"""10^9 binary and 10^6 other multiply-accumulates, as Larq Zoo's summaries print them."""

SMALL_SIZES = {
    "bi-real-net-18-larq": 1.98,
    "binary-alexnet": 7.39,
    "binary-densenet-28": 1.39,
    "binary-densenet-37": 1.96,
    "binary-densenet-37-dilated": 1.96,
    "binary-densenet-45": 2.94,
    "binary-resnet-e-18": 1.98,
    "dorefanet": 10.9,
    "meliusnet-22": 1.52,
    "quicknet": 2.16,
    "quicknet-large": 3.37,
    "quicknet-small": 2.07,
    "real-to-binary": 2.27,
}
"""MiB of parameters with 8 bits for all that is not binary, as Larq Zoo's summaries print them."""

_RESNET = {
    (64, 3, 7, 7): 1, (64, 64, 3, 3): 4, (128, 64, 3, 3): 1, (128, 64, 1, 1): 1, (128, 128, 3, 3): 3,
    (256, 128, 3, 3): 1, (256, 128, 1, 1): 1, (256, 256, 3, 3): 3, (512, 256, 3, 3): 1, (512, 256, 1, 1): 1,
    (512, 512, 3, 3): 3, (1000, 512): 1,
}  # fmt: skip
_DENSENET_37 = {
    (64, 3, 7, 7): 1, (64, 64, 3, 3): 1, (64, 128, 3, 3): 2, (64, 192, 3, 3): 3, (64, 256, 3, 3): 4, (64, 320, 3, 3): 4,
    (64, 384, 3, 3): 4, (128, 448, 1, 1): 1, (64, 448, 3, 3): 3, (64, 512, 3, 3): 3, (64, 576, 3, 3): 3,
    (192, 640, 1, 1): 1, (64, 640, 3, 3): 1, (64, 704, 3, 3): 1, (64, 768, 3, 3): 1, (64, 832, 3, 3): 1,
    (64, 896, 3, 3): 1, (256, 960, 1, 1): 1, (1000, 640): 1,
}  # fmt: skip

SHAPES: dict[str, dict[tuple[int, ...], int]] = {
    "bi-real-net-18": _RESNET,
    "bi-real-net-18-larq": _RESNET,
    "binary-resnet-e-18": _RESNET,
    "react-resnet-18": _RESNET,
    # The first dense layer reads the remaining 6x6 image; in the checkpoint it is (4096, 9216, 1, 1).
    "binary-alexnet": {
        (64, 3, 11, 11): 1, (192, 64, 5, 5): 1, (384, 192, 3, 3): 1, (384, 384, 3, 3): 1, (256, 384, 3, 3): 1,
        (4096, 256, 6, 6): 1, (4096, 4096, 1, 1): 1, (1000, 4096, 1, 1): 1,
    },
    "binary-densenet-28": {
        (64, 3, 7, 7): 1, (64, 64, 3, 3): 1, (64, 128, 3, 3): 1, (64, 192, 3, 3): 2, (64, 256, 3, 3): 3,
        (64, 320, 3, 3): 3, (64, 384, 3, 3): 3, (160, 448, 1, 1): 1, (64, 160, 3, 3): 1, (64, 224, 3, 3): 1,
        (64, 288, 3, 3): 1, (64, 352, 3, 3): 1, (64, 416, 3, 3): 1, (64, 480, 3, 3): 1, (192, 544, 1, 1): 1,
        (64, 448, 3, 3): 2, (64, 512, 3, 3): 2, (256, 576, 1, 1): 1, (1000, 576): 1,
    },
    "binary-densenet-37": _DENSENET_37,
    "binary-densenet-37-dilated": _DENSENET_37,
    "binary-densenet-45": {
        (64, 3, 7, 7): 1, (64, 64, 3, 3): 1, (64, 128, 3, 3): 1, (64, 192, 3, 3): 1, (64, 256, 3, 3): 1,
        (64, 320, 3, 3): 1, (64, 384, 3, 3): 1, (160, 448, 1, 1): 1, (64, 160, 3, 3): 1, (64, 224, 3, 3): 1,
        (64, 288, 3, 3): 3, (64, 352, 3, 3): 3, (64, 416, 3, 3): 3, (64, 480, 3, 3): 3, (64, 544, 3, 3): 3,
        (64, 608, 3, 3): 3, (64, 672, 3, 3): 3, (64, 736, 3, 3): 3, (64, 800, 3, 3): 2, (64, 864, 3, 3): 2,
        (288, 928, 1, 1): 1, (64, 928, 3, 3): 1, (64, 992, 3, 3): 1, (64, 1056, 3, 3): 1, (64, 1120, 3, 3): 1,
        (288, 1184, 1, 1): 1, (1000, 800): 1,
    },
    "binarynet": {
        (128, 3, 3, 3): 1, (128, 128, 3, 3): 1, (256, 128, 3, 3): 1, (256, 256, 3, 3): 1, (512, 256, 3, 3): 1,
        (512, 512, 3, 3): 1, (1024, 4608): 1, (1024, 1024): 1, (10, 1024): 1,
    },
    "dorefanet": {
        (96, 3, 12, 12): 1, (256, 96, 5, 5): 1, (384, 256, 3, 3): 1, (384, 384, 3, 3): 1, (256, 384, 3, 3): 1,
        (4096, 9216): 1, (4096, 4096): 1, (1000, 4096): 1,
    },
    # In the checkpoint each group of the stem is a separate convolution: 4 of (8, 8, 3, 3), 8 of (8, 4, 3, 3).
    "meliusnet-22": {
        (32, 3, 3, 3): 1, (32, 8, 3, 3): 1, (64, 4, 3, 3): 1, (64, 64, 3, 3): 1, (64, 128, 3, 3): 2, (64, 192, 3, 3): 2,
        (64, 256, 3, 3): 3, (64, 320, 3, 3): 3, (160, 320, 1, 1): 1, (64, 160, 3, 3): 1, (64, 224, 3, 3): 3,
        (64, 288, 3, 3): 4, (64, 352, 3, 3): 4, (64, 416, 3, 3): 4, (64, 480, 3, 3): 2, (224, 480, 1, 1): 1,
        (256, 480, 1, 1): 1, (64, 384, 3, 3): 2, (64, 448, 3, 3): 2, (64, 512, 3, 3): 1, (1000, 512): 1,
    },
    "reactnet-a": {
        (32, 3, 3, 3): 1, (32, 32, 3, 3): 1, (32, 32, 1, 1): 2, (64, 64, 3, 3): 1, (64, 64, 1, 1): 2,
        (128, 128, 3, 3): 2, (128, 128, 1, 1): 3, (256, 256, 3, 3): 2, (256, 256, 1, 1): 3, (512, 512, 3, 3): 6,
        (512, 512, 1, 1): 7, (1024, 1024, 3, 3): 1, (1024, 1024, 1, 1): 1, (1000, 1024): 1,
    },
    "real-to-binary": {
        **_RESNET, (8, 64): 5, (64, 8): 4, (128, 8): 1, (16, 128): 4, (128, 16): 3, (256, 16): 1, (32, 256): 4,
        (256, 32): 3, (512, 32): 1, (64, 512): 3, (512, 64): 3,
    },
    "strong-baseline": _RESNET,
    "xnor-net": {
        (96, 3, 11, 11): 1, (256, 96, 5, 5): 1, (384, 256, 3, 3): 1, (384, 384, 3, 3): 1, (256, 384, 3, 3): 1,
        (4096, 256, 6, 6): 1, (4096, 4096, 1, 1): 1, (1000, 4096): 1,
    },
}  # fmt: skip
"""Shape of a weight -> how many layers have it, as in the public checkpoints, in torch's order of dimensions."""


def learned(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_every_model_has_its_facts_and_they_are_true(name: str) -> None:
    facts, total = get_model(name).facts, costs(name)
    assert facts is not None
    assert facts.parameters == sum(total.parameters.values()) == learned(full(name))
    assert facts.binary_parameters == total.parameters[1]
    assert (facts.binary_macs, facts.float_macs) == (total.binary_macs, total.float_macs)
    assert (facts.top1 is None) == (not facts.top1_source)


@pytest.mark.slow
@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_are_as_many_as_keras_counts(name: str) -> None:
    norms = [m for m in full(name).modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    assert learned(full(name)) + sum(2 * m.num_features for m in norms) == PARAMETERS[name]
    assert costs(name).larq_parameters == PARAMETERS[name]


@pytest.mark.parametrize("name", LEARNED_PARAMETERS)
def test_parameters_are_as_many_as_published(name: str) -> None:
    assert learned(full(name)) == LEARNED_PARAMETERS[name]


@pytest.mark.slow
@pytest.mark.parametrize("name", BINARY_PARAMETERS)
def test_binary_parameters_are_as_many_as_published(name: str) -> None:
    assert costs(name).parameters[1] == BINARY_PARAMETERS[name]


@pytest.mark.parametrize("name", SHAPES)
def test_weights_have_the_shapes_of_the_public_checkpoint(name: str) -> None:
    layers = [m for m in full(name).modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert Counter(tuple(m.weight.shape) for m in layers) == SHAPES[name]


@pytest.mark.slow
@pytest.mark.parametrize("name", MACS)
def test_multiply_accumulates_are_as_many_as_published(name: str) -> None:
    binary, real = MACS[name]
    assert costs(name).binary_macs / 1e9 == pytest.approx(binary, abs=0.0006)
    assert costs(name).float_macs / 1e6 == pytest.approx(real, abs=6 if name == "dorefanet" else 0.6)


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL_SIZES)
def test_the_size_with_8_bit_rest_is_as_published(name: str) -> None:
    # 0.01 for rounding, and 0.007 MiB for BatchNorms of which Larq counts two vectors, though some learn fewer.
    assert costs(name).small_bytes / 2**20 == pytest.approx(SMALL_SIZES[name], abs=0.02)


def test_the_variants_of_bi_real_net_differ_in_depth_padding_and_batch_norm_alone() -> None:
    shapes = {name: [p.shape for p in full(name).parameters()] for name in ("bi-real-net-18", "bi-real-net-18-larq")}
    assert shapes["bi-real-net-18"] == shapes["bi-real-net-18-larq"]
    deep = Counter(tuple(m.weight.shape) for m in full("bi-real-net-34").modules() if isinstance(m, nn.Conv2d))
    assert deep - Counter(SHAPES["bi-real-net-18"]) == Counter(
        {(64, 64, 3, 3): 2, (128, 128, 3, 3): 4, (256, 256, 3, 3): 8, (512, 512, 3, 3): 2}
    )
