import pytest
import torch
from torch import nn

from bittern.models import PRECISIONS, create, get_model, register_model
from bittern.models import registry as models_registry
from bittern.nn import BinaryConv2d, BinaryLinear, RSign
from bittern.train import get_recipe, settings_of
from models.small import MODELS, SMALL, full, small, small_input


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_model_gives_finite_logits_and_gradients_in_every_precision(name: str, precision: str) -> None:
    torch.manual_seed(0)  # in a random network of few channels all of a gate's ReLUs may be 0
    model, x = small(name, precision=precision), small_input(name, batch=4)
    logits = model(x)
    assert logits.shape == (4, 10)
    (logits * torch.randn(4, 10)).sum().backward()
    gradients = {n: p.grad for n, p in model.named_parameters()}
    assert all(g is not None and torch.isfinite(g).all() for g in gradients.values())
    assert all(g.abs().sum() > 0 for n, g in gradients.items() if g.dim() >= 2)


@pytest.mark.parametrize("name", MODELS)
def test_step_one_hands_every_weight_to_step_two_by_name(name: str) -> None:
    first, second = small(name, precision="binary_activations"), small(name, precision="binary")
    second.load_state_dict(first.state_dict(), strict=True)


@pytest.mark.parametrize("name", MODELS)
def test_classes_channels_and_size_are_the_callers(name: str) -> None:
    size = 16 + SMALL[name].get("image_size", 16)
    model = small(name, num_classes=7, in_channels=2, image_size=size).eval()
    assert model(torch.randn(1, 2, size, size)).shape == (1, 7)


@pytest.mark.parametrize("name", MODELS)
def test_every_binary_layer_reads_a_multiple_of_32_channels(name: str) -> None:
    layers = [m for m in full(name).modules() if isinstance(m, BinaryConv2d | BinaryLinear)]
    channels = [m.in_channels if isinstance(m, BinaryConv2d) else m.in_features for m in layers]
    of_images = [c for c in channels if c == get_model(name).in_channels]
    assert len(layers) >= 6
    assert len(of_images) == (1 if name in ("binary-alexnet", "binarynet") else 0)
    assert all(c % 32 == 0 for c in channels if c not in of_images)


@pytest.mark.parametrize("name", MODELS)
def test_exported_graph_binarizes_every_operand_of_every_binary_layer(name: str) -> None:
    model, x = small(name).eval(), small_input(name)
    program = torch.export.export(model, (x,))
    layers = [m for m in model.modules() if isinstance(m, BinaryConv2d | BinaryLinear)]
    thresholds = [m for m in model.modules() if isinstance(m, RSign)]
    binarized = [n for n in program.graph.nodes if n.target is torch.ops.bittern.binarize.default]
    assert len(binarized) == len(layers) + len(thresholds) + sum(m.binarize_input for m in layers)
    assert all(m.binarize_weight for m in layers)
    torch.testing.assert_close(program.module()(x), model(x))


@pytest.mark.parametrize("name", MODELS)
def test_rows_state_where_the_architecture_comes_from(name: str) -> None:
    info = get_model(name)
    assert info.name == name
    assert "arXiv:" in info.source
    assert info.description


def test_an_unknown_model_is_refused_with_the_known_names_and_the_nearest() -> None:
    with pytest.raises(
        ValueError, match=r"unknown model 'digit-resnet': did you mean 'digits-resnet'\? Known are .*bi-real-net-18, "
    ):
        create("digit-resnet")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"num_classes": 0}, ValueError, "num_classes must be at least 1, got 0"),
        ({"num_classes": 2.5}, TypeError, "num_classes must be an integer, got 2.5"),
        ({"image_size": "32"}, TypeError, "image_size must be an integer, got '32'"),
        ({"in_channels": True}, TypeError, "in_channels must be an integer, got True"),
        ({"precision": "ternary"}, ValueError, "precision must be one of 'binary', .*, got 'ternary'"),
        ({"widths": (32,), "depths": (1, 1)}, ValueError, "widths and depths must be as many"),
        (
            {"depht": (1, 1)},
            TypeError,
            "model 'digits-resnet' has no option 'depht'; its options are widths, ",
        ),
        ({"stem_stride": 2}, TypeError, "model 'digits-resnet' has no option 'stem_stride'"),
        ({"widths": 3, "depths": 1}, TypeError, "model 'digits-resnet': "),
    ],
)
def test_a_bad_option_is_refused_with_the_rule(options: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        create("digits-resnet", **options)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("xnor-net", {"image_size": 56}, "image_size must be at least 57 for this network, got 56"),
        ("binary-alexnet", {"image_size": 56}, "image_size must be at least 57 for this network, got 56"),
        ("dorefanet", {"image_size": 43}, "image_size must be at least 44 for this network, got 43"),
        ("binarynet", {"image_size": 9}, "image_size must be at least 10 for this network, got 9"),
        ("binary-densenet-28", {"image_size": 7}, "image_size must be at least 8 for this network, got 7"),
        ("binary-densenet-37-dilated", {"image_size": 1}, "image_size must be at least 2 for this network, got 1"),
        ("binary-densenet-28", {"depths": (6, 6)}, r"n, n and n - 1, each at least 1; got \(6, 6\), \(1, 1, 1, 1\)"),
        ("meliusnet-22", {"depths": (1,)}, r"one width less than depths, .*; got \(160, 224, 256\) and \(1,\)"),
        ("meliusnet-22", {"depths": (0,), "widths": ()}, r"each at least 1; got \(\) and \(0,\)"),
        ("reactnet-a", {"widths": (32, 96)}, "a block keeps or doubles the channels, got 32 -> 96"),
        ("reactnet-a", {"widths": (32,)}, "of the stem and of at least one block"),
        ("digits-transformer", {"patch": 3}, "image_size must be a multiple of the patch, 3, got 8"),
        ("digits-transformer", {"heads": 3}, "width must be a multiple of the heads, 3, got 64"),
        ("digits-transformer", {"depth": 0}, "depth must be at least 1, got 0"),
        ("bnext-t", {"widths": (32, 96)}, "a block keeps or doubles the channels, got 32 -> 96"),
        ("xnor-net", {"widths": (1, 2)}, r"widths must be 7 numbers, got \(1, 2\)"),
        ("dorefanet", {"bits": 0}, r"bits must be in 1\.\.16, got 0"),
        ("bi-real-net-18", {"depths": (0, 1), "widths": (32, 64)}, "each at least 1; got"),
    ],
)
def test_what_an_architecture_cannot_be_is_refused_with_the_rule(name: str, options: dict, message: str) -> None:
    with torch.device("meta"), pytest.raises(ValueError, match=message):
        create(name, **options)


@pytest.mark.parametrize(
    ("name", "size"), [("xnor-net", 57), ("binary-alexnet", 57), ("dorefanet", 44), ("binarynet", 10)]
)
def test_the_smallest_image_runs(name: str, size: int) -> None:
    assert small(name, image_size=size).eval()(torch.zeros(1, 3, size, size)).shape == (1, 10)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", MODELS)
def test_only_what_precision_says_is_binarized(name: str, precision: str) -> None:
    modules = list(small(name, precision=precision).modules())
    layers = [m for m in modules if isinstance(m, BinaryConv2d | BinaryLinear)]
    assert {m.binarize_weight for m in layers} == {precision == "binary"}
    signs = any(m.binarize_input for m in layers) or any(isinstance(m, RSign) for m in modules)
    assert signs == (precision != "float" and name != "dorefanet")


OPTIONS: dict[str, tuple[str, ...]] = {
    "binary-alexnet": ("widths",),
    "binarynet": ("widths",),
    "bnext-t": ("widths",),
    "cifar-resnet": ("widths", "depths", "stem_stride"),
    "digits-transformer": ("patch", "width", "depth", "heads"),
    "dorefanet": ("widths", "bits"),
    "reactnet-a": ("widths", "scale"),
    "xnor-net": ("widths",),
    **dict.fromkeys((name for name in MODELS if "densenet" in name), ("depths", "channels", "growth")),
}
"""Of every model besides ``precision``; widths and depths for those not listed. Settings of old runs contain them."""


@pytest.mark.parametrize("name", MODELS)
def test_a_model_keeps_its_options(name: str) -> None:
    options = get_model(name).options
    assert tuple(key for key in options if key != "precision") == OPTIONS.get(name, ("widths", "depths"))
    assert options["precision"] == "binary"


def test_the_settings_of_a_recipe_list_the_options_of_its_model() -> None:
    settings = settings_of(get_recipe("digits-one-step"))
    assert {key for key in settings if key.startswith("model.")} == {"model.widths", "model.depths"}


def test_a_name_is_registered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models_registry, "_MODELS", dict(models_registry._MODELS))
    row = {"num_classes": 2, "in_channels": 1, "image_size": 4, "description": "a line", "source": "arXiv:0"}
    register_model("line", **row)(lambda num_classes, in_channels, image_size: nn.Linear(image_size, num_classes))
    assert create("line").out_features == 2
    with pytest.raises(TypeError, match="builder of 'lines' has no keyword-only argument 'widht'"):
        register_model("lines", **row, defaults={"widht": 3})(nn.Linear)
    with pytest.raises(ValueError, match="'line' exists already"):
        register_model("line", **row)(nn.Linear)
