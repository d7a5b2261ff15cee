"""The engine computes what the exported module computes, for any images of the right kind, and refuses others."""

import json
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import bittern.runtime
from bittern.runtime import Engine, ModelFileError, Operator, load
from runtime.programs import METADATA, Small, example, lower, small_program, write


@pytest.fixture(scope="module")
def engine(model: Path) -> Engine:
    return load(model)


def images(count: int) -> np.ndarray:
    return example(count).numpy()


def expected(x: np.ndarray) -> np.ndarray:
    """The module's results, image by image."""
    with torch.no_grad():
        net = Small().eval()
        return np.concatenate([net(torch.from_numpy(image[np.newaxis])).numpy() for image in x])


# XNNPACK and PyTorch round a few dozen operations on numbers around 1 differently.
CLOSE = {"rtol": 0, "atol": 1e-5}


def test_results_are_those_of_the_module(engine: Engine) -> None:
    x = images(2)
    result = engine(x)
    assert result.dtype == np.float32
    assert result.flags.c_contiguous
    np.testing.assert_allclose(result, expected(x), **CLOSE)


@pytest.mark.parametrize("count", [1, 2, 3, 7])
@pytest.mark.parametrize("batch", [1, 2, 4])
def test_any_number_of_images_runs_in_slices(tmp_path: Path, batch: int, count: int) -> None:
    engine, x = load(write(tmp_path / "m.pte", small_program(batch))), images(count)
    result = engine(x)
    assert result.shape == (count, 5)
    np.testing.assert_allclose(result, expected(x), **CLOSE)


def test_an_image_does_not_depend_on_the_others(engine: Engine) -> None:
    x = images(5)
    together = engine(x)
    for i in range(5):
        np.testing.assert_array_equal(engine(x[i : i + 1]), together[i : i + 1])


def test_any_strides_give_the_same_result(engine: Engine) -> None:
    x = np.ascontiguousarray(images(4))
    result = engine(x)
    wide = np.zeros((8, 3, 16, 9), np.float32)
    wide[::2, :, ::2, 1:] = x
    for same in (
        np.asfortranarray(x),
        x.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2),
        wide[::2, :, ::2, 1:],
        x[::-1].copy()[::-1],
    ):
        np.testing.assert_array_equal(engine(same), result)
    x.flags.writeable = False
    np.testing.assert_array_equal(engine(x), result)


def test_the_input_is_not_changed(engine: Engine) -> None:
    x = images(3)
    before = x.copy()
    engine(x)
    np.testing.assert_array_equal(x, before)


def test_results_are_copies(engine: Engine) -> None:
    first = engine(images(2))
    kept = first.copy()
    engine(images(3))
    np.testing.assert_array_equal(first, kept)


def test_nan_binarizes_to_plus_one(tmp_path: Path) -> None:
    class Signs(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            op = torch.ops.bittern
            return op.unpack(op.pack(x, None, 1), 3, 1).flatten(1)

    operators = (Operator("pack", "", (None,), (0,)), Operator("unpack", "", (None,), (0,)))
    metadata = replace(METADATA, output_shape=(2, 192), operators=operators, class_names=None)
    engine = load(write(tmp_path / "signs.pte", lower(Signs(), example(), metadata=metadata)))
    x = np.ascontiguousarray(images(2))
    x[0, 0, 0, :5] = [np.nan, -np.nan, 0.0, -0.0, -1.0]
    result = engine(x).reshape(2, 3, 8, 8)
    np.testing.assert_array_equal(result, np.where(x < 0, -1, 1))
    np.testing.assert_array_equal(result[0, 0, 0, :5], [1, 1, 1, 1, -1])


def test_images_full_of_nan_run(engine: Engine) -> None:
    result = engine(np.full((2, 3, 8, 8), np.nan, np.float32))
    assert result.shape == (2, 5)


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.uint8, np.int64, np.complex64])
def test_other_dtypes_are_refused_with_the_conversion(engine: Engine, dtype: type[np.generic]) -> None:
    message = rf"images must be float32, got {np.dtype(dtype)}: convert them with images\.astype\(np\.float32\)"
    with pytest.raises(ValueError, match=message):
        engine(images(2).astype(dtype))


@pytest.mark.parametrize("shape", [(3, 8, 8), (2, 1, 8, 8), (2, 3, 8, 9), (2, 3, 8, 8, 1), (2, 8, 8, 3), ()])
def test_other_shapes_are_refused(engine: Engine, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"images must be of shape \[N, 3, 8, 8\], got \["):
        engine(np.zeros(shape, np.float32))


def test_an_empty_batch_is_refused(engine: Engine) -> None:
    with pytest.raises(ValueError, match="got an empty batch"):
        engine(np.zeros((0, 3, 8, 8), np.float32))


@pytest.mark.parametrize("value", [[[1.0]], None, torch.zeros(2, 3, 8, 8)])
def test_other_objects_are_refused(engine: Engine, value: object) -> None:
    with pytest.raises(TypeError, match="images must be a numpy array"):
        engine(value)  # type: ignore[arg-type]


@pytest.mark.parametrize("threads", [2, 3])
def test_the_number_of_threads_changes_nothing(model: Path, engine: Engine, threads: int) -> None:
    x = images(4)
    several = load(model, threads=threads)
    np.testing.assert_array_equal(several(x), engine(x))
    # Another engine resizes ExecuTorch's thread pool, and this one must notice.
    np.testing.assert_array_equal(load(model, threads=5 - threads)(x), engine(x))
    np.testing.assert_array_equal(several(x), engine(x))
    assert several.threads == threads


@pytest.mark.parametrize("threads", [0, -1, 1.0, None, 1025, 2**31])
def test_a_number_of_threads_must_be_positive_and_not_absurd(model: Path, threads: object) -> None:
    with pytest.raises(ValueError, match="threads must be an integer from 1 to 1024"):
        load(model, threads=threads)  # type: ignore[arg-type]


@pytest.mark.parametrize("threads", [1, 2])
def test_one_engine_may_be_called_from_several_threads(model: Path, threads: int) -> None:
    engine, inputs = load(model, threads=threads), [images(count) for count in range(1, 7)]
    expected = [engine(x) for x in inputs]
    wrong: list[int] = []

    def call(i: int) -> None:
        wrong.extend(i for _ in range(30) if not np.array_equal(engine(inputs[i]), expected[i]))

    callers = [threading.Thread(target=call, args=(i,)) for i in range(len(inputs))]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert wrong == []


def test_trace_gives_operands_and_results_of_every_operator(engine: Engine) -> None:
    calls = engine.trace(images(3))
    assert [call.name for call in calls] == [operator.op for operator in METADATA.operators]
    for call in calls:
        operands = [torch.from_numpy(x) if isinstance(x, np.ndarray) else x for x in call.inputs]
        results = getattr(torch.ops.bittern, call.name)(*operands)
        results = results if isinstance(results, tuple) else (results,)
        for ours, theirs in zip(call.outputs, results, strict=True):
            assert ours.shape[0] == 3
            np.testing.assert_array_equal(ours, theirs.numpy())


@pytest.mark.parametrize("isa", bittern.runtime.supported_isas())
def test_every_instruction_set_gives_the_same_bits(engine: Engine, model: Path, isa: str) -> None:
    x = images(3)
    results = bittern.runtime.run_in_process(model, x, isa=isa, trace=True)
    assert results.isa == isa
    np.testing.assert_array_equal(results.logits, engine(x))
    for ours, theirs in zip(engine.trace(x), results.calls, strict=True):
        for a, b in zip(ours.outputs, theirs.outputs, strict=True):
            np.testing.assert_array_equal(a, b)


def test_profile_times_every_node(engine: Engine) -> None:
    nodes = engine.profile(images(2), runs=4)
    names = [node.name for node in nodes]
    assert [name for name in names if name.startswith("bittern::")] == [f"bittern::{o.op}" for o in METADATA.operators]
    assert names[-1] == "XnnpackBackend"
    assert names[0] == "XnnpackBackend"
    assert all(len(node.microseconds) == 4 and node.median > 0 for node in nodes)
    with pytest.raises(ValueError, match="runs must be at least 1"):
        engine.profile(images(2), runs=0)


def test_an_unusable_instruction_set_is_an_error_that_lists_them(model: Path) -> None:
    with pytest.raises(RuntimeError, match=r"known: .*avx2, portable\), got 'sse9'"):
        bittern.runtime.run_in_process(model, images(1), isa="sse9")


def test_torch_is_never_imported(model: Path) -> None:
    program = (
        "import sys, numpy, bittern.runtime; engine = bittern.runtime.load(sys.argv[1]);"
        "engine(numpy.zeros((2, 3, 8, 8), numpy.float32)); engine.trace(numpy.zeros((2, 3, 8, 8), numpy.float32));"
        "assert 'torch' not in sys.modules and 'executorch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program, str(model)], check=True)


def refuse(path: Path, program: bytes, reason: str) -> None:
    with pytest.raises(ModelFileError, match=reason) as caught:
        load(write(path, program))
    assert str(path) in str(caught.value)


def test_a_program_without_metadata_is_refused(tmp_path: Path) -> None:
    refuse(tmp_path / "m.pte", lower(Small(), example(), metadata=None), "has no bittern_metadata method")


def test_wrong_metadata_is_refused(tmp_path: Path) -> None:
    refuse(tmp_path / "m.pte", lower(Small(), example(), metadata="{}"), "metadata: format must be an integer")
    other = json.dumps(replace(METADATA, input_shape=(1, 3, 8, 8)).to_json())
    refuse(tmp_path / "m.pte", lower(Small(), example(), metadata=other), "the program has")


def test_a_program_with_other_inputs_or_outputs_is_refused(tmp_path: Path) -> None:
    class TwoInputs(nn.Module):
        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return x + y

    class TwoOutputs(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x + 1, x * 2

    class Integers(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + 1

    path = tmp_path / "m.pte"
    refuse(path, lower(TwoInputs(), example(), example()), "names 1 inputs, the program has 2")
    refuse(path, lower(TwoOutputs(), example()), "names 1 outputs, the program has 2")
    refuse(path, lower(Integers(), example().to(torch.int32)), r"float32 for 'x', the program has \[.*\] of int32")
    refuse(path, lower(Integers(), example().to(torch.int16)), "input 0 is of a type that the engine does not take")


def test_an_unknown_operator_is_named(tmp_path: Path) -> None:
    library = torch.library.Library("bittern_tests", "FRAGMENT")
    library.define("unknown(Tensor x) -> Tensor")
    library.define("unknown.out(Tensor x, *, Tensor(a!) out) -> Tensor(a!)")
    library.impl("unknown", lambda x: torch.empty_like(x), "CompositeExplicitAutograd")

    class Unknown(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.ops.bittern_tests.unknown(x)

    refuse(tmp_path / "m.pte", lower(Unknown(), example()), r"bittern_tests::unknown\.out")


def test_bytes_that_are_no_program_are_refused(tmp_path: Path) -> None:
    refuse(tmp_path / "m.pte", b"", "cannot be loaded")
    refuse(tmp_path / "m.pte", bytes(range(256)) * 8, "cannot be loaded")


def test_the_chosen_instruction_set_is_one_that_this_cpu_supports() -> None:
    supported = bittern.runtime.supported_isas()
    assert supported[-1] == "portable"
    assert bittern.runtime.isa() in supported
    assert supported[-1] == "portable"
