"""Networks of several inputs and outputs give in the engine what their modules give, in the same form."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from several import NETWORKS, Detections, network
from torch import Tensor, nn

from bittern.export import ExportError, ExportWarning, summary, to_pte, verify
from bittern.export.signature import Example, flatten, tensors_of
from bittern.runtime import Engine, load, run_in_process

pytestmark = pytest.mark.filterwarnings("ignore::bittern.export.ExportWarning")


def arrays(example: Example) -> dict[str, np.ndarray]:
    """As numpy, by name or by place."""
    named = (
        example if isinstance(example, dict) else dict(enumerate(example if isinstance(example, tuple) else (example,)))
    )
    return {name: tensor.numpy() for name, tensor in named.items()}


def call(module: Any, example: Example, values: dict[Any, Any]) -> Any:
    return module(**values) if isinstance(example, dict) else module(*values.values())


def expected(module: nn.Module, example: Example) -> tuple[Tensor, ...]:
    with torch.no_grad():
        return tensors_of(call(module, example, {k: torch.from_numpy(v) for k, v in arrays(example).items()}))


def assert_equal(actual: Any, outputs: tuple[Tensor, ...]) -> None:
    """To within rounding, as a share of the largest value; integers exactly."""
    found = flatten(actual)[1]
    for ours, theirs in zip(found, outputs, strict=True):
        assert ours.dtype == theirs.numpy().dtype
        assert ours.shape == tuple(theirs.shape)
        assert ours.flags.c_contiguous
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4 * float(theirs.abs().max()))


@pytest.fixture(scope="module", params=NETWORKS)
def deployed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Engine]:
    net, example = network(request.param)
    export = to_pte(net, example(1), tmp_path_factory.mktemp("several") / "net.pte")
    assert export.explanation.unpacked == []
    return request.param, load(export.path)


@pytest.mark.parametrize("images", [1, 3])
def test_results_are_the_modules(deployed: tuple[str, Engine], images: int) -> None:
    name, engine = deployed
    net, example = network(name)
    inputs = example(images)
    assert_equal(call(engine, inputs, arrays(inputs)), expected(net, inputs))


def test_verify_compares_every_output_and_every_layer(deployed: tuple[str, Engine]) -> None:
    name, engine = deployed
    net, example = network(name)
    inputs = arrays(example(2))
    given = dict(inputs) if isinstance(example(1), dict) else tuple(inputs.values())
    result = verify(net, engine.path, given)
    assert result.passed
    assert [output.name for output in result.outputs] == [spec.name for spec in engine.signature.outputs]
    assert result.layers
    assert all(layer.passed for layer in result.layers)


def test_verify_finds_what_differs_in_one_output(deployed: tuple[str, Engine]) -> None:
    name, engine = deployed
    net, example = network(name)
    inputs = tuple(arrays(example(2)).values())
    last = [module for module in net.modules() if isinstance(module, (nn.Linear, nn.Conv2d))][-1]
    last.weight.data[0] *= -3
    result = verify(net, engine.path, inputs)
    assert not result.passed
    assert not all(output.passed for output in result.outputs)


def test_another_process_gives_the_same(deployed: tuple[str, Engine]) -> None:
    name, engine = deployed
    inputs = tuple(arrays(NETWORKS[name][1](3)).values())
    results = run_in_process(engine.path, inputs, trace=True, batches=(1, 2))
    for ours, theirs in zip(results.outputs, engine.signature.flatten(engine(*inputs)), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert [call.name for call in results.calls] == [operator.op for operator in engine.metadata.operators]
    assert engine.profile(*inputs, runs=1)


# torch fixes the batch where it resizes images, so that a segmenter is refused.
@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(NETWORKS.keys() - {"segmenter"}))
def test_a_dynamic_batch_gives_each_image_what_it_has_alone(name: str, tmp_path: Path) -> None:
    net, example = network(name)
    engine = load(to_pte(net, example(1), tmp_path / "net.pte", max_batch=4, check=False).path)
    assert [spec.shape[0] for spec in engine.signature.inputs] == [4] * len(engine.signature.inputs)
    for images in (3, 5):
        inputs = example(images)
        assert_equal(call(engine, inputs, arrays(inputs)), expected(net, inputs))
    assert verify(net, engine.path, tuple(arrays(example(3)).values())).passed


@pytest.mark.parametrize("name", NETWORKS)
def test_costs_are_predicted(name: str) -> None:
    net, example = network(name)
    costs = summary(net, example(1))
    assert costs.binary_macs > 0
    assert costs.operations


def test_outputs_have_the_names_of_fields_and_places(tmp_path: Path) -> None:
    net, example = network("detector")
    engine = load(to_pte(net, example(1), tmp_path / "net.pte", check=False).path)
    (image,) = engine.signature.inputs
    assert (image.name, image.shape, image.dtype) == ("image", (1, 3, 8, 6), "float32")
    assert [str(spec) for spec in engine.signature.outputs] == [
        "boxes float32 [N, 120, 4]",
        "scores float32 [N, 120, 3]",
        "maps.0 float32 [N, 32, 8, 6]",
        "maps.1 float32 [N, 64, 4, 3]",
        "anchors float32 [120, 4]",
    ]
    result = engine(np.zeros((2, 3, 8, 6), np.float32))
    assert list(result) == [*Detections.__dataclass_fields__]
    assert isinstance(result["maps"], list)
    np.testing.assert_array_equal(result["anchors"], net.anchors)


def test_a_wrong_output_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bittern.export import passes
    from bittern.export.graph import Graph

    def spoil(graph: Graph) -> None:
        weight = graph.constant(graph.calls(torch.ops.aten.conv2d.default)[-1].args[1])  # type: ignore[arg-type]
        assert weight is not None
        weight[0] += 1

    monkeypatch.setattr(passes, "PIPELINE", (*passes.PIPELINE, spoil))
    net, example = network("segmenter")
    with pytest.raises(ExportError, match=r"does not compute what the module does: results for .*"):
        to_pte(net, example(1), tmp_path / "net.pte")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_int8_takes_several_outputs_and_no_several_inputs(tmp_path: Path) -> None:
    net, example = network("detector")
    image = example(4)
    assert isinstance(image, Tensor)
    export = to_pte(net, image[:1], tmp_path / "net.pte", int8=image)
    boxes = load(export.path)(image.numpy())["boxes"]
    assert np.linalg.norm(boxes - net(image).boxes.detach().numpy()) < 0.5 * np.linalg.norm(boxes)
    net, example = network("image and facts")
    with pytest.raises(ExportError, match=r"one input of floats, this one takes image float32 .*: export without int8"):
        to_pte(net, example(1), tmp_path / "other.pte", int8=image)


def test_class_names_fit_one_of_the_outputs(tmp_path: Path) -> None:
    net, example = network("detector")
    export = to_pte(net, example(1), tmp_path / "net.pte", class_names=["cat", "dog", "owl"], check=False)
    assert export.metadata.class_names == ("cat", "dog", "owl")
    with pytest.raises(ExportError, match="5 class names for 4 or 3 or"):
        to_pte(net, example(1), tmp_path / "net.pte", class_names=list("abcde"), check=False)


def test_a_fallback_is_told_of_and_nothing_else(tmp_path: Path) -> None:
    net, example = network("encoder")
    with pytest.warns(ExportWarning) as caught:
        to_pte(net, example(1), tmp_path / "net.pte")
    assert all("slow" in str(warning.message) for warning in caught)
