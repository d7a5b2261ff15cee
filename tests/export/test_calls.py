"""How modules are called and what they return: every form of an example, every form of a result, every dtype."""

from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from several import Function
from torch import Tensor, nn

from bittern.export import ExportError, ExportWarning, capture, to_pte
from bittern.export.signature import flatten
from bittern.runtime import Preprocessing, load

pytestmark = pytest.mark.filterwarnings("ignore::bittern.export.ExportWarning")

X = torch.arange(24.0).view(2, 3, 4) - 7
Pair = namedtuple("Pair", ["low", "high"])


@dataclass
class Both:
    double: Tensor
    more: dict[Any, Any]


def same(x: Tensor) -> tuple[Tensor, Tensor]:
    y = x * 2
    return y, y


RESULTS: dict[str, tuple[Callable[[Tensor], object], list[str]]] = {
    "tuple": (lambda x: (x * 2, x + 1), ["0", "1"]),
    "tuple of one": (lambda x: (x * 2,), ["0"]),
    "list": (lambda x: [x * 2, x + 1], ["0", "1"]),
    "dict": (lambda x: {"b": x * 2, "a": x + 1}, ["b", "a"]),
    "integer keys": (lambda x: {3: x * 2, 1: x + 1}, ["3", "1"]),
    "nested": (lambda x: {"a": [x * 2, (x + 1,)], "b": {"c": x - 1}}, ["a.0", "a.1.0", "b.c"]),
    "dataclass": (lambda x: Both(x * 2, {"a": (x + 1,)}), ["double", "more.a.0"]),
    "named tuple": (lambda x: Pair(x - 1, x + 1), ["low", "high"]),
    "one tensor twice": (same, ["0", "1"]),
    "the input": (lambda x: (x, x * 2), ["0", "1"]),
    "a constant": (lambda x: (x * 2, torch.ones(3, 2)), ["0", "1"]),
    "one name twice": (lambda x: {"a.0": x * 2, "a": [x + 1]}, ["a.0", "a.0_1"]),
    "None beside": (lambda x: {"a": x * 2, "b": None}, ["a"]),
    "max with its place": (lambda x: x.max(2), ["0", "1"]),
    "another order of memory": (lambda x: (x.transpose(1, 2), x[:, None].permute(0, 2, 3, 1)), ["0", "1"]),
    "topk": (lambda x: tuple(x.topk(2, 2)), ["0", "1"]),
    "integers": (lambda x: x.argmax(2), ["output"]),
    "booleans": (lambda x: x > 3, ["output"]),
    "bytes": (lambda x: x.abs().to(torch.uint8), ["output"]),
}


def as_engine_gives(value: Any) -> Any:
    """A result with dicts for dataclasses, tuples for named ones, arrays for tensors."""
    if isinstance(value, Both):
        return {"double": as_engine_gives(value.double), "more": as_engine_gives(value.more)}
    if isinstance(value, dict):
        return {key: as_engine_gives(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_engine_gives(item) for item in value]
    if isinstance(value, tuple):
        return tuple(as_engine_gives(item) for item in value)
    return None if value is None else value.numpy()


@pytest.mark.parametrize("case", RESULTS)
def test_the_engine_gives_the_form_that_the_module_gives(case: str, tmp_path: Path) -> None:
    function, names = RESULTS[case]
    engine = load(to_pte(Function(function), X[:1], tmp_path / "net.pte", check=False).path)
    assert [spec.name for spec in engine.signature.outputs] == names
    result, expected = engine(X.numpy()), as_engine_gives(function(X))
    assert repr(result) == repr(expected)
    assert [array.dtype for array in flatten(result)[1]] == [array.dtype for array in flatten(expected)[1]]


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8, torch.bool])
def test_inputs_may_be_of_any_dtype_that_the_engine_takes(dtype: torch.dtype, tmp_path: Path) -> None:
    net, x = Function(lambda x: x.float() * 2 - 1), (X.abs() % 3).to(dtype)
    engine = load(to_pte(net, x[:1], tmp_path / "net.pte", check=False).path)
    np.testing.assert_array_equal(engine(x.numpy()), net(x).numpy())
    name = str(dtype).removeprefix("torch.")
    with pytest.raises(
        ValueError, match=rf"input x must be {name}, got float32: convert them with x\.astype\(.*{name}\)"
    ):
        engine(X.numpy())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floats_are_taken_as_float32(dtype: torch.dtype) -> None:
    captured = capture(Function(lambda x, y: x * 2 + y), (X, X.to(dtype)))
    assert [spec.dtype for spec in captured.signature.inputs] == ["float32", "float32"]
    (remark,) = captured.remarks
    assert f"input y is {str(dtype).removeprefix('torch.')}: it is taken as float32" in remark


def test_a_conversion_of_the_example_is_told(tmp_path: Path) -> None:
    with pytest.warns(ExportWarning, match="input x is float64: it is taken as float32"):
        engine = load(to_pte(Function(lambda x: x * 2), X.double(), tmp_path / "net.pte", check=False).path)
    np.testing.assert_array_equal(engine(X.numpy()), (X * 2).numpy())


def test_images_of_bytes_enter_a_convolution(tmp_path: Path) -> None:
    pixels = torch.randint(0, 256, (2, 3, 6, 5), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    conv = nn.Conv2d(3, 4, 3)
    net = Function(lambda x: conv(x.float() / 255))
    engine = load(to_pte(net, pixels[:1], tmp_path / "net.pte", check=False).path)
    with torch.no_grad():
        np.testing.assert_allclose(engine(pixels.numpy()), net(pixels).numpy(), rtol=0, atol=1e-5)


class Several(nn.Module):
    def forward(self, x: Tensor, y: Tensor | None = None, *, z: Tensor | None = None) -> Tensor:
        return x * 2 + (0 if y is None else y * 3) + (0 if z is None else z * 5)


EXAMPLES: dict[str, tuple[Any, list[str]]] = {
    "a tensor": (X, ["x"]),
    "a tuple": ((X, X), ["x", "y"]),
    "a list": ([X, X], ["x", "y"]),
    "with None": ((X, None), ["x"]),
    "names": ({"x": X, "y": X}, ["x", "y"]),
    "names in another order": ({"z": X, "x": X}, ["x", "z"]),
    "all names": ({"z": X, "y": X, "x": X}, ["x", "y", "z"]),
}


@pytest.mark.parametrize("case", EXAMPLES)
def test_inputs_have_the_names_and_the_order_of_the_parameters(case: str) -> None:
    example, names = EXAMPLES[case]
    captured = capture(Several(), example)
    assert [spec.name for spec in captured.signature.inputs] == names
    values = {name: X + i for i, name in enumerate(names)}
    assert torch.equal(captured.graph.module(*values.values()), Several()(**values))


def test_the_engine_takes_inputs_by_place_and_by_name(tmp_path: Path) -> None:
    engine = load(to_pte(Several(), {"z": X, "x": X}, tmp_path / "net.pte", check=False).path)
    expected = (X * 2 + (X + 1) * 5).numpy()
    np.testing.assert_array_equal(engine(X.numpy(), (X + 1).numpy()), expected)
    np.testing.assert_array_equal(engine(z=(X + 1).numpy(), x=X.numpy()), expected)


def test_a_method_has_the_inputs_of_its_own_parameters(tmp_path: Path) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.tensor(3.0))

        def features(self, left: Tensor, right: Tensor) -> Tensor:
            return (left - right) * self.scale

    engine = load(to_pte(Net().features, (X, X), tmp_path / "net.pte", check=False).path)  # type: ignore[arg-type]
    assert [spec.name for spec in engine.signature.inputs] == ["left", "right"]
    np.testing.assert_array_equal(engine(left=X.numpy(), right=2 * X.numpy()), -3 * X.numpy())


def test_any_number_of_inputs_is_numbered(tmp_path: Path) -> None:
    net = Function(lambda *parts, **more: torch.cat([*parts, *more.values()], 1))
    assert [s.name for s in capture(net, (X, X)).signature.inputs] == ["parts_0", "parts_1"]
    assert [s.name for s in capture(net, {"left": X, "a b": X}).signature.inputs] == ["left", "a b"]


def test_an_exported_program_of_several_inputs_is_taken(tmp_path: Path) -> None:
    program = torch.export.export(Several().eval(), (X, X))
    engine = load(to_pte(program, (X, X), tmp_path / "net.pte", check=False).path)  # type: ignore[arg-type]
    np.testing.assert_array_equal(engine(X.numpy(), X.numpy()), 5 * X.numpy())


def test_the_module_stays_as_it_is(tmp_path: Path) -> None:
    net = Function(lambda x, y: (x, y)).train()
    forward = net.forward
    to_pte(net, (X, X), tmp_path / "net.pte", check=False)
    assert type(net) is Function
    assert net.forward is forward
    assert net.training


# Name -> function, example without batch, whether the second input is batched.
UNBATCHED: dict[str, tuple[Callable[..., object], Tensor]] = {
    "a table": (lambda x, y: (x + y, y * 2), torch.randn(3, 4, generator=torch.Generator().manual_seed(0))),
    "a number": (lambda x, y: (x * y, y + 1), torch.tensor(2.5)),
    "indices": (lambda x, y: (x[:, y], y + 1), torch.tensor([2, 0, 1, 1, 0])),
}


@pytest.mark.parametrize("max_batch", [None, 4])
@pytest.mark.parametrize("case", UNBATCHED)
def test_what_has_no_batch_is_given_once_for_all_images(case: str, max_batch: int | None, tmp_path: Path) -> None:
    function, y = UNBATCHED[case]
    engine = load(to_pte(Function(function), (X, y), tmp_path / "net.pte", max_batch=max_batch, check=False).path)
    assert [spec.batched for spec in (*engine.signature.inputs, *engine.signature.outputs)] == [True, False] * 2
    x = torch.cat([X, X + 1, X + 2])
    for ours, theirs in zip(engine(x.numpy(), y.numpy()), function(x, y), strict=True):  # type: ignore[call-overload]
        np.testing.assert_array_equal(ours, theirs.numpy())


@pytest.mark.parametrize("max_batch", [None, 4])
@pytest.mark.parametrize("images", [1, 2])
def test_rows_that_are_only_counted_are_given_for_each_image(
    images: int, max_batch: int | None, tmp_path: Path
) -> None:
    net = Function(lambda x: (x * 2, torch.zeros(x.shape[0], 3) + 1, torch.ones_like(x), torch.zeros(1, 3)))
    engine = load(to_pte(net, X[:images], tmp_path / "net.pte", max_batch=max_batch, check=False).path)
    for ours, theirs in zip(engine(X.numpy()), net(X), strict=True):
        np.testing.assert_array_equal(ours, theirs.numpy())


def test_an_output_that_mixes_the_batch_is_refused_by_its_name(tmp_path: Path) -> None:
    net = Function(lambda x, y: {"a": x * y, "b": {"c": x.sum(0)}})
    with pytest.raises(
        ExportError, match=r"returns, as b\.c, shape \[3, 4\] for a batch of 2; its first dimension must"
    ):
        to_pte(net, (X, X), tmp_path / "net.pte", check=False)


def test_an_example_that_shows_one_token_is_told_of(tmp_path: Path) -> None:
    table = nn.Embedding(5, 4)
    with pytest.warns(ExportWarning, match=r"input ids is 0 everywhere in the example, so no other integers are tried"):
        to_pte(Function(lambda ids: table(ids)), torch.zeros(1, 3, dtype=torch.long), tmp_path / "net.pte", check=False)


def test_a_token_that_is_not_in_the_table_is_an_error(tmp_path: Path) -> None:
    table = nn.Embedding(5, 4)
    engine = load(
        to_pte(Function(lambda ids: table(ids)), torch.arange(5)[None], tmp_path / "net.pte", check=False).path
    )
    for token in (5, -1, 2**40):
        with pytest.raises(ValueError, match="cannot be run"):
            engine(np.array([[0, 1, 2, 3, token]]))


def test_preprocessing_makes_images_of_floats(tmp_path: Path) -> None:
    pixels = torch.zeros(1, 3, 4, 4, dtype=torch.uint8)
    rule = Preprocessing(1 / 255, (0.5,), (0.5,))
    with pytest.raises(
        ExportError, match=r"makes float32 images, the first input is x uint8 \[N, 3, 4, 4\]: leave it out"
    ):
        to_pte(Function(lambda x: x.float()), pixels, tmp_path / "net.pte", preprocessing=rule)


def test_a_captured_module_is_captured_again(tmp_path: Path) -> None:
    """As where a dynamic batch is refused, and a fixed one is tried."""
    net = Function(lambda x, *, y: {"a": x * 2 + y, "b": [y - x]})
    first = capture(net, {"x": X, "y": X + 1}, 4)
    again = capture(first.module, first.inputs)
    assert [spec.name for spec in again.signature.inputs] == ["x", "y"]
    for ours, theirs in zip(again.module(X, X), first.module(X, X), strict=True):
        assert torch.equal(ours, theirs)
