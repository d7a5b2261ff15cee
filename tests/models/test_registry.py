import pytest
import torch
from torch import nn

from bittern.models import PRECISIONS, create, get_model, list_models, register_model
from bittern.models import registry as models_registry

MODELS = list_models()


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_model_gives_finite_logits_and_gradients_in_every_precision(name: str, precision: str) -> None:
    info = get_model(name)
    model = create(name, precision=precision)
    x = torch.randn(2, info.in_channels, info.image_size, info.image_size)
    logits = model(x)
    assert logits.shape == (2, info.num_classes)
    logits.square().sum().backward()
    gradients = {n: p.grad for n, p in model.named_parameters()}
    assert all(g is not None and torch.isfinite(g).all() for g in gradients.values())
    assert all(g.abs().sum() > 0 for n, g in gradients.items() if g.dim() >= 2)


@pytest.mark.parametrize("name", MODELS)
def test_step_one_hands_every_weight_to_step_two_by_name(name: str) -> None:
    first, second = create(name, precision="binary_activations"), create(name, precision="binary")
    second.load_state_dict(first.state_dict(), strict=True)


@pytest.mark.parametrize("name", MODELS)
def test_classes_channels_and_size_are_the_callers(name: str) -> None:
    model = create(name, num_classes=7, in_channels=2, image_size=32).eval()
    assert model(torch.randn(1, 2, 32, 32)).shape == (1, 7)


@pytest.mark.parametrize("name", MODELS)
def test_every_convolution_of_signs_is_a_multiple_of_32_channels_wide(name: str) -> None:
    convolutions = [m for m in create(name).modules() if isinstance(m, nn.Conv2d) and hasattr(m, "binarize_weight")]
    assert len(convolutions) >= 6
    assert all(c.in_channels % 32 == 0 and c.out_channels % 32 == 0 for c in convolutions)


@pytest.mark.parametrize("name", MODELS)
def test_exported_graph_binarizes_two_operands_per_binary_convolution(name: str) -> None:
    info, model = get_model(name), create(name).eval()
    x = torch.randn(1, info.in_channels, info.image_size, info.image_size)
    program = torch.export.export(model, (x,))
    binarized = [n for n in program.graph.nodes if n.target is torch.ops.bittern.binarize.default]
    assert len(binarized) == 2 * sum(hasattr(m, "binarize_weight") for m in model.modules())
    torch.testing.assert_close(program.module()(x), model(x))


@pytest.mark.parametrize("name", MODELS)
def test_rows_state_where_the_architecture_comes_from(name: str) -> None:
    info = get_model(name)
    assert info.name == name
    assert "arXiv:" in info.source
    assert info.description


def test_an_unknown_model_is_refused_with_the_known_names_and_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"unknown model 'digit-resnet': known are cifar-resnet, .*'digits-resnet'"):
        create("digit-resnet")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"num_classes": 0}, ValueError, "num_classes must be at least 1, got 0"),
        ({"precision": "ternary"}, ValueError, "precision must be one of 'binary', .*, got 'ternary'"),
        ({"widths": (32,), "depths": (1, 1)}, ValueError, "widths and depths must be as many"),
        ({"depht": (1, 1)}, TypeError, "model 'digits-resnet': .*'depht'"),
    ],
)
def test_a_bad_option_is_refused_with_the_rule(options: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        create("digits-resnet", **options)


def test_a_name_is_registered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models_registry, "_MODELS", dict(models_registry._MODELS))
    row = {"num_classes": 2, "in_channels": 1, "image_size": 4, "description": "a line", "source": "arXiv:0"}
    register_model("line", **row)(lambda num_classes, in_channels, image_size: nn.Linear(image_size, num_classes))
    assert create("line").out_features == 2
    with pytest.raises(ValueError, match="a model called 'line' already"):
        register_model("line", **row)(nn.Linear)
