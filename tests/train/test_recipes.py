import csv
import dataclasses
import json
from contextlib import closing
from pathlib import Path

import pytest
import torch

from bittern.data import get_dataset
from bittern.models import create
from bittern.nn import BinaryConv2d
from bittern.train import Recipe, get_recipe, list_recipes, settings_of, with_overrides
from bittern.train.losses import Features, attention_loss
from bittern.train.optimizers import build_optimizer, learning_rate

RECIPES = [get_recipe(name) for name in list_recipes()]
by_name = pytest.mark.parametrize("recipe", RECIPES, ids=list_recipes())


@by_name
def test_every_recipe_builds_its_networks_with_the_shape_of_its_data(recipe: Recipe) -> None:
    info = get_dataset(recipe.dataset)
    shapes = []
    for stage in recipe.stages:
        model = create(
            recipe.model,
            num_classes=len(info.class_names) or 1000,
            in_channels=info.input_shape[0],
            image_size=info.input_shape[1],
            precision=stage.precision,
            **recipe.model_options,
        )
        shapes.append({name: tensor.shape for name, tensor in model.state_dict().items()})
    assert all(shape == shapes[0] for shape in shapes)


@by_name
def test_every_recipe_states_source_and_expected_result(recipe: Recipe) -> None:
    assert recipe.description
    assert recipe.source
    assert "%" in recipe.expected


def test_the_two_step_recipes_are_those_of_adambnn() -> None:
    first, second = get_recipe("digits").stages
    assert (first.precision, first.weight_decay) == ("binary_activations", 5e-6)
    assert (second.precision, second.weight_decay) == ("binary", 0.0)


@pytest.mark.parametrize("index", [0, 1])
def test_the_rate_of_real_to_binary_falls_at_the_epochs_of_its_source(index: int) -> None:
    stage = get_recipe("r2b").stages[index]
    steps = 5004 * stage.epochs  # of 256 images
    rates = [learning_rate(stage, step / steps) for step in range(steps)]
    falls = [step / 5004 for step in range(1, steps) if rates[step] < rates[step - 1]]
    assert falls == pytest.approx([40, 60, 70], abs=1 / 5004)
    assert rates[-1] == pytest.approx(stage.lr * 0.3**3)


@pytest.mark.parametrize("name", ["r2b", "r2b-cifar10"])
def test_the_decay_of_real_to_binary_is_divided_as_its_loss_is(name: str) -> None:
    for stage in get_recipe(name).stages[:2]:
        share_of_labels = 1 if stage.teacher == "none" else 1 - stage.distillation  # 1 in the source
        assert stage.weight_decay == pytest.approx(1e-5 * share_of_labels)


def test_the_weights_of_adambnn_in_one_step_have_the_gradient_of_its_code() -> None:
    recipe = get_recipe("adambnn-one-step")
    with torch.device("meta"):
        model = create(recipe.model, **recipe.model_options)
    assert {m.scale_kind for m in model.modules() if isinstance(m, BinaryConv2d)} == {"mean_forward"}


def test_the_rate_of_bamsprods_reconstruction_is_the_one_that_its_tuning_chose() -> None:
    tuning = Path(__file__).parents[2] / "benchmarks" / "results" / "optimizers-tuning.csv"
    with open(tuning, newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["contender"] == "bamsprod"]
    best = max(rows, key=lambda row: float(row["accuracy"]))
    recipe = get_recipe("bamsprod-cifar10")
    assert recipe.stages[0].binary_options == json.loads(best["setting"])["binary_options"]
    assert "reconstruction" in recipe.description
    assert "reconstruction" in recipe.source


@by_name
def test_without_overrides_nothing_changes(recipe: Recipe) -> None:
    assert settings_of(with_overrides(recipe, {})) == settings_of(recipe)


@by_name
def test_every_setting_can_be_overridden_by_its_own_value_as_a_string(recipe: Recipe) -> None:
    settings = settings_of(recipe)
    strings = {k: ",".join(map(str, v)) if isinstance(v, tuple) else str(v) for k, v in settings.items()}
    assert settings_of(with_overrides(recipe, strings)) == settings


def test_a_setting_without_a_stage_holds_for_every_stage_and_one_with_it_goes_before() -> None:
    recipe = with_overrides(get_recipe("digits"), {"lr": "0.5", "step2.lr": "0.25", "epochs": 3})
    assert [stage.lr for stage in recipe.stages] == [0.5, 0.25]
    assert recipe.epochs == 6


@pytest.mark.parametrize("value", ["2e-5,0.1,0.9", (2e-5, 0.1, 0.9)])
def test_an_option_that_is_off_takes_several_numbers(value: object) -> None:
    stage = with_overrides(get_recipe("digits-one-step"), {"options.sad": value, "options.clip": "1"}).stages[0]
    assert stage.options == {"sad": (2e-5, 0.1, 0.9), "clip": 1.0}
    build_optimizer(stage, create("digits-resnet"))


def test_a_run_of_birealnet_float_fits_as_the_teacher_of_r2b() -> None:
    recipes = [get_recipe(name) for name in ("r2b", "birealnet-float")]
    assert "birealnet-float" in recipes[0].description
    assert recipes[0].dataset == recipes[1].dataset
    maps = []
    for recipe in recipes:
        model = create(recipe.model, precision=recipe.stages[0].precision, image_size=64, num_classes=3).eval()
        with closing(Features(model, recipes[0].attention_layers)) as features, torch.no_grad():
            model(torch.rand(1, 3, 64, 64))
        maps.append(features.maps)
    assert attention_loss(*maps).isfinite()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("step3.lr", "1", r"unknown setting 'step3.lr': did you mean 'step.*'\? Known are "),
        ("lr", "fast", r"setting 'lr' takes float \(now 0\.\d+\), got 'fast'"),
        ("lr", "0", "step1.lr must be above 0, got 0.0"),
        ("lr", "nan", "step1.lr must be above 0, got nan"),
        ("epochs", "1.5", "setting 'epochs' takes int"),
        ("epochs", 1.5, "setting 'epochs' takes int"),
        ("epochs", "0", "step1.epochs must be at least 1, got 0"),
        ("batch_size", "0", "batch_size must be at least 1, got 0"),
        ("weight_decay", "inf", "step1.weight_decay must be finite, got inf"),
        ("label_smoothing", "1", r"label_smoothing must be in \[0, 1\), got 1.0"),
        ("cutmix", "-1", "cutmix must be at least 0, got -1.0"),
        ("dataset", "image-shard", r"unknown data set 'image-shard': did you mean 'image-shards'\? Known are "),
        ("augmentation", "flop", "unknown augmentation 'flop': did you mean 'flip'"),
        (
            "mixed_precision",
            "fp16",
            r"unknown mixed_precision 'fp16': did you mean 'bf16'\? Known are bf16, double, no",
        ),
        ("options.sad", "2e-5,much", r"setting 'options.sad' takes numbers or none \(now None\), got '2e-5,much'"),
        ("attention_layers", 3, r"setting 'attention_layers' takes names, such as stem,blocks.1 \(now \(\)\), got 3"),
        ("model.widths", "64,wide", "setting 'model.widths' takes numbers, such as 64,128"),
    ],
)
def test_a_bad_override_is_refused_with_the_rule(key: str, value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        with_overrides(get_recipe("digits"), {key: value})


def test_a_batch_is_not_mixed_twice() -> None:
    with pytest.raises(ValueError, match=r"mixup or cutmix must be 0, .* got 0.2 and 1.0"):
        with_overrides(get_recipe("digits"), {"mixup": 0.2, "cutmix": 1})


def test_an_unknown_recipe_is_refused_with_the_known_names_and_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"unknown recipe 'digit': did you mean 'digits'\? Known are adambnn, "):
        get_recipe("digit")


def test_a_recipe_needs_a_stage() -> None:
    with pytest.raises(ValueError, match="'digits' needs at least one stage"):
        dataclasses.replace(get_recipe("digits"), stages=())
