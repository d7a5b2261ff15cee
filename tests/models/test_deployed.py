"""Every architecture, made small: PyTorch, the deployed graph by its references, and the engine do the same."""

import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from bittern.export import Export, ExportWarning, Verification, to_pte, verify, verify_reference
from bittern.nn import BinaryConv2d, BinaryLinear
from bittern.runtime import Results, run_in_process, supported_isas
from models.small import MODELS, trained

pytestmark = pytest.mark.usefixtures("one_thread")


def layers(model: nn.Module) -> set[str]:
    return {path for path, m in model.named_modules() if isinstance(m, BinaryConv2d | BinaryLinear)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("deployed")


@cache
def network(name: str) -> tuple[str, torch.Size, bytes]:
    """What tells a small network from others: how its modules print, and its logits for the same random numbers."""
    model, x = trained(name)
    with torch.no_grad():
        return str(model), x.shape, model(x).numpy().tobytes()


@cache
def same_as(name: str) -> str:
    """The first model of the list that is the same network when it is small, as models are that differ in depth alone.

    What is found of one of them is found of all, once.
    """
    return next(other for other in MODELS if network(other) == network(name))


def exported(name: str, folder: Path) -> tuple[nn.Module, np.ndarray, Export]:
    """The model, three images, and its file, which computes two at a time."""
    return _exported(same_as(name), folder)


@cache
def _exported(name: str, folder: Path) -> tuple[nn.Module, np.ndarray, Export]:
    model, x = trained(name, batch=3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExportWarning)  # which a test below asks the explanation about
        return model, x.numpy(), to_pte(model, x[:2], folder / f"{name}.pte", name=name)


def ran(name: str, folder: Path, isa: str) -> Results:
    return _ran(same_as(name), folder, isa)


@cache
def _ran(name: str, folder: Path, isa: str) -> Results:
    _, x, export = _exported(name, folder)
    return run_in_process(export.path, x, isa=isa, trace=True)


@cache
def compared(name: str, folder: Path, by: str) -> Verification:
    model, x, export = _exported(name, folder)
    return verify_reference(model, x) if by == "reference" else verify(model, export.path, x, _ran(name, folder, by))


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_the_references_of_the_deployed_graph_give_what_the_model_gives(name: str, folder: Path) -> None:
    result = compared(same_as(name), folder, "reference")
    assert result.isa == "reference"
    assert result.passed, [layer for layer in result.layers if not layer.passed]


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_the_engine_gives_the_bits_and_floats_of_the_references(name: str, folder: Path) -> None:
    result = compared(same_as(name), folder, supported_isas()[0])
    assert result.reference_differences == 0, [layer for layer in result.layers if layer.reference_differences]
    assert result.passed, [layer for layer in result.layers if not layer.passed]


@pytest.mark.slow
@pytest.mark.parametrize("isa", supported_isas()[1:])
@pytest.mark.parametrize("name", MODELS)
def test_every_instruction_set_gives_the_same_bits_and_floats(name: str, isa: str, folder: Path) -> None:
    expected, actual = ran(name, folder, supported_isas()[0]), ran(name, folder, isa)
    assert actual.isa == isa
    for call, expected_call in zip(actual.calls, expected.calls, strict=True):
        for output, expected_output in zip(call.outputs, expected_call.outputs, strict=True):
            np.testing.assert_array_equal(output, expected_output, err_msg=call.name)
    np.testing.assert_array_equal(actual.logits, expected.logits)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_every_layer_with_binary_weights_runs_on_bits_and_no_float_part_is_slow(name: str, folder: Path) -> None:
    model, _, export = exported(name, folder)
    assert {o.path for o in export.metadata.operators if o.op.startswith(("conv2d", "linear"))} == layers(model)
    assert export.explanation.unpacked == []
    assert export.explanation.fallbacks == []


@pytest.mark.slow
def test_linear_layers_on_tokens_share_their_packed_input(folder: Path) -> None:
    operators = exported("digits-transformer", folder)[2].metadata.operators
    readers = tuple(f"blocks.0.attention.{name}" for name in ("query", "key", "value"))
    assert sum(o.op.startswith("linear") and o.path in readers for o in operators) == 3
    assert sum(o.op == "pack" and o.path in readers for o in operators) == 1


@pytest.mark.parametrize("name", MODELS)
def test_a_trained_model_is_no_identity_anywhere(name: str) -> None:
    """What the tests above compare would hide errors if it were 0, 1 or the same in every channel."""
    model, x = trained(name, batch=1)
    vectors = [p for p in model.parameters() if p.numel() == max(p.shape, default=1) and p.numel() > 1]
    assert all(p.unique().numel() > 1 for p in vectors)
    with torch.no_grad():
        assert model(x).isfinite().all()
