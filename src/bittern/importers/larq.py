"""Larq's networks: those of Larq Zoo, and BinaryNet of Bop's authors. One function a family infers the options."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import groupby
from typing import Any

from bittern._image_geometry import MIDDLE_SQUARE, TENSORFLOW
from bittern._preprocessing import IMAGENET_PIXELS, Preprocessing
from bittern.importers.keras_order import Order
from bittern.importers.slots import Shape
from bittern.importers.source import Options, Source
from bittern.importers.tensor_file import TensorFile

_ZOO = "Larq Zoo"
_PIXELS = replace(IMAGENET_PIXELS, geometry=TENSORFLOW)


def _kernels(file: TensorFile, weight: str = "kernel") -> Iterator[Shape]:
    """Shapes of all tensors called ``weight``, in the file's order."""
    return (tensor.shape for name, tensor in file.tensors.items() if name.endswith(f"/{weight}"))


def _sections(shapes: list[Shape]) -> list[list[Shape]]:
    """Runs of 3x3 kernels, separated by other kernels."""
    return [list(run) for is_3x3, run in groupby(shapes, lambda shape: shape[:2] == (3, 3)) if is_3x3]


def _quicknet(file: TensorFile) -> Options:
    binary = list(_kernels(file))[2:]  # after the two of the stem
    sections = _sections(binary)
    return {"widths": tuple(run[0][3] for run in sections), "depths": tuple(map(len, sections))}


def _resnet(file: TensorFile) -> Options:
    binary = [shape for shape in list(_kernels(file))[1:] if shape[:2] == (3, 3)]
    stages = [(width, len(list(run))) for width, run in groupby(binary, lambda shape: shape[3])]
    return {"widths": tuple(width for width, _ in stages), "depths": tuple(depth for _, depth in stages)}


def _real_to_binary(kind: str) -> Callable[[TensorFile], Options]:
    """Every layer's name starts with ``kind``, the network, and with what of it is binary."""

    def options(file: TensorFile) -> Options:
        family = {layer.rpartition("_block_")[0].rpartition("_")[0] for layer, weights in file.layers if weights}
        precision = {"bnn": "binary", "ban": "binary_activations"}
        (suffix,) = {layer.split("_block_")[0].rpartition("_")[2] for layer, weights in file.layers if weights}
        if family != {kind}:
            raise ValueError(f"layers are named {family}, expected {kind}")
        return {**_resnet(file), "precision": precision[suffix]}

    return options


def _densenet(*, dilated: bool) -> Callable[[TensorFile], Options]:
    """``dilated``: without poolings between the last stages, which shapes do not show but layers' names do."""

    def options(file: TensorFile) -> Options:
        stem, *rest = _kernels(file)
        sections = _sections(rest)
        pools = sum(layer.startswith("max_pooling2d") for layer, _ in file.layers)
        all_pools = len(sections) - 1 + (stem[0] == 7)
        if pools and (pools < all_pools) != dilated:
            raise ValueError(f"{pools} of {all_pools} poolings, expected {'fewer' if dilated else 'all'}")
        return {"depths": tuple(map(len, sections)), "channels": stem[3], "growth": sections[0][0][3]}

    return options


def _meliusnet(file: TensorFile) -> Options:
    behind_stem = list(_kernels(file))[1 + 4 + 8 :]
    depths = tuple(len(run) // 2 for run in _sections(behind_stem))
    return {"widths": tuple(shape[3] for shape in behind_stem if shape[:2] == (1, 1)), "depths": depths}


def _alexnet(file: TensorFile) -> Options:
    return {"widths": tuple(shape[-1] for shape in list(_kernels(file))[:-1])}


def _with_classes(options: Callable[[TensorFile], Options]) -> Callable[[TensorFile], Options]:
    def all_options(file: TensorFile) -> Options:
        shapes = list(_kernels(file))
        return {"num_classes": shapes[-1][-1], **options(file)}

    return all_options


def _row(
    model: str,
    options: Callable[[TensorFile], Options],
    order: Order | None = None,
    *,
    name: str = _ZOO,
    pixels: Preprocessing = _PIXELS,
    **more: Any,
) -> Source:
    return Source(name, model, _with_classes(options), (order or Order()).match, pixels=pixels, **more)


SOURCES: tuple[Source, ...] = (
    _row("quicknet", _quicknet),
    _row("quicknet-small", _quicknet),
    _row("quicknet-large", _quicknet),
    _row("bi-real-net-18-larq", _resnet),
    _row("binary-resnet-e-18", _resnet),
    _row("real-to-binary", _real_to_binary("r2b")),
    _row("strong-baseline", _real_to_binary("baseline")),
    _row("binary-densenet-28", _densenet(dilated=False)),
    _row("binary-densenet-37", _densenet(dilated=False)),
    _row("binary-densenet-37-dilated", _densenet(dilated=True)),
    _row("binary-densenet-45", _densenet(dilated=False)),
    _row("meliusnet-22", _meliusnet),
    _row("xnor-net", _alexnet, Order(clip=1.0)),
    _row("binary-alexnet", _alexnet, Order(flattened=("classifier.0",))),
    _row("dorefanet", _alexnet, Order(flattened=("hidden.1",))),
    _row(
        "binarynet",
        _alexnet,
        Order(flattened=("classifier.0",)),
        name="code of Bop's authors",
        pixels=Preprocessing(1 / 255, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), MIDDLE_SQUARE),
        dataset="cifar10",
    ),
)
