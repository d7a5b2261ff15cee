"""Helpers for tests of networks in C: compiled with sanitizers, every node compared with its reference."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from bittern.export import capture, rewrite
from bittern.export.c.lower import lower
from bittern.export.c.reference import Reference
from bittern.export.c.run import run
from bittern.export.c.write import Card, files
from bittern.export.capture import channels_last
from bittern.export.deployed import describe

STRICT = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror")
SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-O1", "-ffp-contract=off")


def compiler(name: str) -> str:
    """The path of a compiler; skips the test where it is missing."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed: apt-get install {name}")
    return path


def differences(
    module: nn.Module, inputs: Sequence[Tensor], folder: Path, cc: str = "gcc", *, passes: bool = True
) -> list[str]:
    """Names of the nodes that give something else in C than in their reference, for any of ``inputs``.

    ``passes``: without them the module's own calls of Bittern's operators stay as they are.
    """
    captured = capture(module, inputs[0])
    deployed = rewrite(captured) if passes else describe(captured, captured.graph.copy())
    network = lower(deployed)
    for name, content in files(network, Card("net", "test", None, None, ())).items():
        (folder / name).write_text(content)
    runs = run(
        folder,
        "net",
        network,
        deployed,
        [[x] for x in inputs],
        compiler=compiler(cc),
        flags=(*STRICT, *SANITIZE),
    )
    found: list[str] = []
    for x, result in zip(inputs, runs, strict=True):
        reference = Reference(deployed)
        outputs = reference(channels_last(x))
        pairs = [
            (name, actual, expected)
            for name, values in result.values.items()
            for actual, expected in zip(values, reference.values[name], strict=True)
        ]
        pairs += [("output", *pair) for pair in zip(result.outputs, outputs, strict=True)]
        found += [name for name, actual, expected in pairs if not equal(actual, expected)]
    return found


def equal(actual: Tensor, expected: Tensor) -> bool:
    """Whether two tensors hold the same numbers or bits; NaN equals NaN."""
    same = (actual == expected) | ((actual != actual) & (expected != expected))
    return actual.shape == expected.shape and bool(same.all())


def adverse(*shape: int) -> list[Tensor]:
    """Noise; all signs alike, either way; and numbers on thresholds, too large, and none."""
    random = torch.Generator().manual_seed(0)
    noise = torch.randn(shape, generator=random)
    odd = noise.clone().flatten()
    for i, value in enumerate((0.0, -0.0, torch.inf, -torch.inf, torch.nan, 1e-45, -1e-45, 3e38)):
        odd[i :: 2 * shape[-1] + 7] = value
    return [noise, noise.abs() + 1, -noise.abs() - 1, odd.view(shape)]
