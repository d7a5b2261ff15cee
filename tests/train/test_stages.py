"""What a stage can be: its optimizers, its teacher, averages, accumulation. On the tiny network of tiny.py."""

import dataclasses
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from bittern.data import Preprocessing, get_dataset, open_dataset
from bittern.models import create
from bittern.optim import get_optimizer, list_optimizers
from bittern.train import Recipe, RunError, Stage, TrainingError, checkpoint, get_recipe, load_run, run, with_overrides
from bittern.train.optimizers import build_optimizer
from bittern.train.ranks import Ranks
from bittern.train.runs import RunInfo, save_run, versions
from bittern.train.trainer import Position, Trainer
from train.tiny import TINY, At, CutShortError, cut_short, train

LATENT_FREE = [name for name in list_optimizers() if get_optimizer(name).latent_free]


def recipe(*stages: Stage, **changes: Any) -> Recipe:
    tiny = {k.removeprefix("model."): tuple(map(int, v.split(","))) for k, v in TINY.items() if k.startswith("model.")}
    return dataclasses.replace(
        get_recipe("digits"), **{"stages": stages, "batch_size": 128, "model_options": tiny, **changes}
    )


def binary(**keywords: Any) -> Stage:
    return Stage("train", "binary", **{"epochs": 1, "lr": 2e-3, **keywords})


def trainer(row: Recipe, **arguments: Any) -> Trainer:
    return Trainer(row, open_dataset("digits"), seed=0, ranks=Ranks("cpu", "32-true"), **arguments)


def state(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


@pytest.mark.parametrize("name", list_optimizers())
def test_every_optimizer_trains_the_binary_weights_of_a_recipe(name: str, tmp_path: Path) -> None:
    options = {} if get_optimizer(name).latent_free else {"lr": 2e-3}
    stage = binary(binary_optimizer=name, binary_options=options)
    result = run(recipe(stage), None, tmp_path / "run", accelerator="cpu")
    weights = [t for n, t in state(result.folder).items() if n.endswith("conv.weight")]
    held = {float(v) for w in weights for v in w.unique()}
    assert (held == {-1.0, 1.0}) == get_optimizer(name).latent_free
    assert load_run(result.folder).info.settings["train.binary_optimizer"] == name


@pytest.mark.parametrize("name", LATENT_FREE)
def test_a_latent_free_optimizer_goes_on_after_a_stop_as_if_nothing_had_happened(name: str, tmp_path: Path) -> None:
    def begin(out: Path, **arguments: Any) -> Any:
        row = recipe(binary(binary_optimizer=name, epochs=2))
        return run(row, None, out, accelerator="cpu", **arguments)

    begin(tmp_path / "whole")
    with pytest.raises(CutShortError):
        begin(tmp_path / "parts", progress=At(14, cut_short), checkpoint_seconds=0.0)
    begin(tmp_path / "parts", resume=True)
    whole, parts = state(tmp_path / "whole"), state(tmp_path / "parts")
    assert all(torch.equal(t, parts[n]) for n, t in whole.items())


def test_clipping_and_decay_are_for_the_weights_that_they_are_meant_for() -> None:
    model = create("digits-resnet", widths=(8, 8), depths=(1, 1))
    optimizer, _ = build_optimizer(binary(options={"clip": 0.5}, weight_decay=0.1), model)
    names = {id(p): n for n, p in model.named_parameters()}
    groups = [({names[id(p)] for p in g["params"]}, g["clip"], g["weight_decay"]) for g in optimizer.param_groups]
    assert [(clip, decay) for _, clip, decay in groups] == [(0.5, 0.1), (None, 0.1), (None, 0.0)]
    latent, filters, rest = (group for group, _, _ in groups)
    assert latent == {"blocks.0.conv.weight", "blocks.1.conv.weight"}
    assert filters == {"stem.0.weight", "blocks.1.shortcut.1.weight", "classifier.weight"}
    assert "blocks.0.sign.shift" in rest


def test_the_code_of_adambnn_decays_shifts_and_no_matrices() -> None:
    model = create("digits-resnet", widths=(8, 8), depths=(1, 1))
    optimizer, _ = build_optimizer(binary(weight_decay=0.1, decay_shifts=True, decay_matrices=False), model)
    names = {id(p): n for n, p in model.named_parameters()}
    decaying = {names[id(p)] for g in optimizer.param_groups if g["weight_decay"] for p in g["params"]}
    assert "blocks.0.sign.shift" in decaying
    assert "classifier.weight" not in decaying


def test_hyperparameters_follow_their_schedules_step_by_step() -> None:
    stage = binary(
        epochs=2,
        lr=0.1,
        warmup=1,
        schedule="constant",
        binary_optimizer="bop",
        binary_options={"gamma": 1e-2},
        binary_schedules={"gamma": "linear"},
    )
    at, made = Position(), trainer(recipe(stage))
    made.enter(at)
    seen = []
    for batch, (images, labels) in enumerate(made.epoch(at)):
        at.batch = batch
        made.step(images, labels, at)
        bop, adam = made._optimizer.param_groups[0], made._optimizer.param_groups[-1]
        seen.append((bop["gamma"], adam["lr"]))
    steps = 2 * made.batches
    assert [gamma for gamma, _ in seen] == pytest.approx([1e-2 * (1 - i / steps) for i in range(made.batches)])
    assert [lr for _, lr in seen] == pytest.approx([0.1 * i / made.batches for i in range(made.batches)])


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "latent-free for all": ({"optimizer": "bop"}, r"train.optimizer must be one for real weights too .*got 'bop'"),
    "without binary weights": (
        {"precision": "float", "binary_optimizer": "bop"},
        r"train.precision must be 'binary' for bop, got 'float'",
    ),
    "unknown": ({"binary_optimizer": "boop"}, r"unknown optimizer 'boop'.*mean 'bop'\?"),
    "schedule": ({"schedule": "wavy"}, "unknown schedule 'wavy'"),
    "warm-up": ({"warmup": 1}, "train.warmup must be at least 0 and below the 1 epochs, got 1"),
    "share": ({"distillation": 1.5}, r"train.distillation must be in \[0, 1\], got 1.5"),
    "teacher": ({"teacher": "mine"}, "train.teacher must be one of none, given, previous, got 'mine'"),
}


@pytest.mark.parametrize(("changes", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_a_stage_that_cannot_be_is_refused_when_it_is_made(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(binary(), **changes)


def test_weight_decay_is_refused_for_an_optimizer_that_has_none() -> None:
    with pytest.raises(ValueError, match=r"train.weight_decay must be 0 for bamsprod, which has none"):
        build_optimizer(binary(optimizer="bamsprod", weight_decay=1e-5), create("digits-resnet"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weight_estimator": "approx_sign"}, "weight_estimator 'approx_sign' of layer '1' passes no gradient"),
        ({"weight_transform": "balanced"}, "weight_transform 'balanced' of layer '1' makes something else"),
    ],
)
def test_layers_whose_weights_would_never_flip_are_refused(options: dict[str, str], message: str) -> None:
    from bittern.nn import BinaryLinear

    model = nn.Sequential(nn.Linear(4, 4), BinaryLinear(4, 4, **options))
    with pytest.raises(ValueError, match=message):
        build_optimizer(binary(binary_optimizer="bop"), model)


def test_a_teacher_that_is_given_is_learned_from_and_kept_as_it_is(tmp_path: Path) -> None:
    teacher_run = train(tmp_path / "teacher", epochs=3)
    row = recipe(binary(epochs=3, teacher="given"), label_smoothing=0.0)
    taught = run(row, None, tmp_path / "taught", accelerator="cpu", teacher=teacher_run.folder)
    alone = run(recipe(binary(epochs=3)), None, tmp_path / "alone", accelerator="cpu")
    assert "teacher.sha256" in taught.info.settings
    teacher, test = load_run(teacher_run.folder).model, open_dataset("digits").splits["test"].take(300)
    x = taught.info.preprocessing(test.images)

    def divergence(folder: Path) -> float:
        with torch.no_grad():
            student = load_run(folder).model(x).log_softmax(1)
            return nn.functional.kl_div(student, teacher(x).softmax(1), reduction="batchmean").item()

    assert divergence(taught.folder) < divergence(alone.folder)


UNLIKE: dict[str, tuple[dict[str, Any], str]] = {
    "shape": ({"input_shape": (3, 8, 8)}, r"input shape \(3, 8, 8\), the data \(1, 8, 8\)"),
    "pixels": ({"preprocessing": Preprocessing(1.0, (0.0,), (1.0,))}, r"preprocessing Pre.*=1\.0,.*data Pre.*0\.305.*"),
    "names": ({"class_names": ("0", "2", "1", *"3456789")}, "class 2, the data 1"),
}


@pytest.mark.parametrize(("changes", "message"), UNLIKE.values(), ids=UNLIKE.keys())
def test_a_run_of_other_images_or_classes_cannot_teach(
    changes: dict[str, Any], message: str, finished: Path, tmp_path: Path
) -> None:
    teacher = load_run(finished)
    save_run(tmp_path / "teacher", teacher.model.state_dict(), dataclasses.replace(teacher.info, **changes))
    with pytest.raises(RunError, match=rf"the teacher in .*teacher has {message}; they must be equal"):
        run(recipe(binary(teacher="given")), None, tmp_path / "run", accelerator="cpu", teacher=tmp_path / "teacher")


def test_a_run_with_fewer_classes_cannot_teach(tmp_path: Path) -> None:
    teacher = create("digits-resnet", num_classes=7, widths=(8, 8), depths=(1, 1))
    options = {"num_classes": 7, "widths": (8, 8), "depths": (1, 1)}
    digits = get_dataset("digits")
    save_run(
        tmp_path / "teacher",
        teacher.state_dict(),
        RunInfo("digits-resnet", options, digits.input_shape, digits.preprocessing, versions()),
    )
    with pytest.raises(RunError, match="has number of classes 7, the data 10; they must be equal"):
        run(recipe(binary(teacher="given")), None, tmp_path / "run", accelerator="cpu", teacher=tmp_path / "teacher")


def test_any_network_can_teach_and_another_one_cannot_take_its_place_on_resuming(tmp_path: Path) -> None:
    class Teacher(nn.Module):
        def __init__(self, scale: float) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.tensor(scale))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.scale * x.flatten(1)[:, :10]

    row = recipe(binary(teacher="given", distillation=0.5))
    run(row, None, tmp_path / "run", accelerator="cpu", teacher=Teacher(2.0))
    with pytest.raises(RunError, match=r"begun otherwise \(teacher.sha256"):
        run(row, None, tmp_path / "run", accelerator="cpu", teacher=Teacher(3.0), resume=True)


def test_a_teacher_is_asked_for_where_one_is_needed_and_refused_where_not(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="learns from a teacher: name the run folder of one"):
        run(recipe(binary(teacher="given")), None, tmp_path / "run")
    with pytest.raises(ValueError, match="'digits' has no use for a teacher"):
        run(recipe(binary()), None, tmp_path / "run", teacher=nn.Identity())
    with pytest.raises(ValueError, match=r"train.teacher must not be 'previous': no stage comes before it"):
        recipe(binary(teacher="previous"))


PROGRESSIVE = (
    Stage("float", "float", 1, lr=2e-3),
    Stage("activations", "binary_activations", 1, 2e-3, weights="random", teacher="previous", attention=1.0),
    Stage("binary", "binary", 2, 2e-3, teacher="previous", distillation=0.5, attention=1.0),
)


def test_each_stage_can_learn_from_the_network_of_the_one_before_and_be_stopped_there(tmp_path: Path) -> None:
    row = recipe(*PROGRESSIVE, attention_layers=("blocks.0", "blocks.1"))
    run(row, None, tmp_path / "whole", accelerator="cpu")

    with pytest.raises(CutShortError):
        run(row, None, tmp_path / "parts", accelerator="cpu", progress=At(36, cut_short), checkpoint_seconds=0.0)
    run(row, None, tmp_path / "parts", accelerator="cpu", resume=True)
    whole, parts = state(tmp_path / "whole"), state(tmp_path / "parts")
    assert all(torch.equal(t, parts[n]) for n, t in whole.items())


def test_a_network_in_double_precision_learns_from_the_one_before(tmp_path: Path) -> None:
    stages = [dataclasses.replace(stage, epochs=1) for stage in PROGRESSIVE]
    row = recipe(*stages, attention_layers=("blocks.0", "blocks.1"), mixed_precision="double")
    result = run(row, None, tmp_path / "run", accelerator="cpu")
    assert 0 < result.info.metrics["train_loss"] < 5


@pytest.mark.parametrize(("teacher", "layers"), [("none", ("blocks.0",)), ("given", ())])
def test_attention_that_could_compare_nothing_is_refused(teacher: str, layers: tuple[str, ...]) -> None:
    message = (
        rf"train.attention must be 0 .* got 0.5 with teacher '{teacher}' and attention_layers {re.escape(str(layers))}"
    )
    with pytest.raises(ValueError, match=message):
        recipe(binary(teacher=teacher, attention=0.5), attention_layers=layers)


def test_a_teacher_without_the_layers_to_compare_is_refused() -> None:
    row = recipe(binary(teacher="given", attention=1.0), attention_layers=("blocks.0",))
    with pytest.raises(ValueError, match=r"Flatten has no module 'blocks.0' whose features could be compared"):
        trainer(row, teacher=nn.Flatten()).enter(Position())


class Foreign(nn.Module):
    """A teacher of another make: 8x8 images -> logits."""

    def __init__(self) -> None:
        super().__init__()
        self.layer1 = nn.Conv2d(1, 3, 3, padding=1)
        self.layer2 = nn.Conv2d(3, 5, 3, stride=2, padding=1)
        self.fc = nn.Linear(5, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.fc(self.layer2(self.layer1(x)).mean((2, 3)))
        return y


def test_a_teacher_of_another_make_names_its_own_layers_and_the_stages_after_it_theirs() -> None:
    first, second = binary(teacher="given"), dataclasses.replace(binary(teacher="previous"), name="again")
    row = with_overrides(
        recipe(first, second),
        {"attention": 1, "attention_layers": "blocks.0,blocks.1", "teacher_attention_layers": "layer1,layer2"},
    )
    made = trainer(row, teacher=Foreign())
    for stage in range(2):
        made.enter(Position(stage=stage))
        images, labels = next(made.epoch(Position(stage=stage)))
        made.step(images, labels, Position(stage=stage))
        assert [maps.shape[1] for maps in made._student_features.maps] == [8, 8]
        assert [maps.shape[1] for maps in made._teacher_features.maps] == [[3, 5], [8, 8]][stage]


def test_a_stage_without_attention_asks_no_teacher_for_layers() -> None:
    row = recipe(binary(teacher="given"), attention_layers=("blocks.0",), teacher_attention_layers=("layer9",))
    trainer(row, teacher=Foreign()).enter(Position())


def test_as_many_layers_of_the_teacher_as_of_the_student_are_compared() -> None:
    message = r"teacher_attention_layers must be as many as the 2 attention_layers, or none .* got \('layer1',\)"
    with pytest.raises(ValueError, match=message):
        recipe(binary(), attention_layers=("blocks.0", "blocks.1"), teacher_attention_layers=("layer1",))


def test_weights_that_a_stage_could_not_take_over_are_refused_with_their_names() -> None:
    made = trainer(recipe(binary()), initial={"stem.0.weight": torch.zeros(3)})
    with pytest.raises(RunError, match=r"some would be lost: missing: stem\.1.*misshapen: stem\.0\.weight is"):
        made.enter(Position())


def test_a_run_can_start_from_the_weights_of_another(tmp_path: Path) -> None:
    first = train(tmp_path / "first")
    row = recipe(binary(lr=1e-12))
    second = run(row, None, tmp_path / "second", accelerator="cpu", start=first.folder)
    before, after = state(first.folder), state(second.folder)
    assert torch.allclose(before["blocks.0.conv.weight"], after["blocks.0.conv.weight"])
    assert "start.sha256" in second.info.settings


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_a_run_can_start_from_the_last_checkpoint_of_one_that_diverged(ema: float, tmp_path: Path) -> None:
    out = tmp_path / "first"
    with pytest.raises(TrainingError, match=rf"checkpoint: step 22 .*starts from its weights \(--from {out} --set lr="):
        train(out, overrides={"step2.lr": 1e36, "ema": ema})
    saved = checkpoint.load(out / "checkpoint").under("average.module" if ema else "model")
    second = run(recipe(binary(lr=1e-12)), None, tmp_path / "second", accelerator="cpu", start=out)
    torch.testing.assert_close(state(second.folder)["classifier.weight"], saved["classifier.weight"])


def test_a_run_cannot_start_from_a_folder_with_neither_a_result_nor_a_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match=r"empty has neither model\.json nor a checkpoint: it is not a run folder"):
        run(recipe(binary()), None, tmp_path / "run", start=tmp_path / "empty")


def test_a_batch_in_parts_gives_the_gradient_of_the_whole() -> None:
    """Where BatchNorm sees parts alone the gradients differ; so it stands still here."""
    gradients = []
    for parts in (1, 4):
        made = trainer(recipe(binary(), accumulate=parts, augmentation="none"))
        made.enter(Position())
        for module in made.model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum, module.training = 0.0, False
                module.train = lambda mode=True, module=module: module  # type: ignore[method-assign]
        images, labels = next(made.epoch(Position()))
        made.step(images, labels, Position())
        gradients.append({n: p.grad.clone() for n, p in made.model.named_parameters() if p.grad is not None})
    for name, whole in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], whole, rtol=1e-4, atol=1e-6, msg=name)


def test_the_average_of_the_weights_is_what_is_evaluated_and_kept() -> None:
    made = trainer(recipe(binary(), ema=0.5))
    made.enter(Position())
    expected = {n: p.clone() for n, p in made.model.named_parameters()}
    for index, (images, labels) in zip(range(3), made.epoch(Position()), strict=False):
        made.step(images, labels, Position(batch=index))
        now = dict(made.model.named_parameters())
        expected = {n: now[n].clone() if index == 0 else 0.5 * p + 0.5 * now[n] for n, p in expected.items()}
    for name, parameter in made.result.named_parameters():
        torch.testing.assert_close(parameter, expected[name], msg=name)


@pytest.mark.parametrize(("extra", "passes"), [({}, 11), ({"mixup": 0.2}, 11), ({"accumulate": 2}, 22)], ids=str)
def test_the_average_is_evaluated_with_the_statistics_of_its_own_activations(
    extra: dict[str, Any], passes: int
) -> None:
    made = trainer(recipe(binary(), ema=0.5, **extra))
    made.enter(Position())
    for index, (images, labels) in zip(range(3), made.epoch(Position()), strict=False):
        made.step(images, labels, Position(batch=index))
    norm, raw = (model.get_submodule("blocks.1.norm") for model in (made.result, made.model))
    untouched, stream, seen = raw.running_mean.clone(), torch.get_rng_state(), []

    def look(module: nn.Module, inputs: tuple[torch.Tensor]) -> None:
        if module.training:
            seen.append(torch.var_mean(inputs[0], (0, 2, 3)))

    norm.register_forward_pre_hook(look)
    found = made.evaluate()
    statistics = [norm.running_var.clone(), norm.running_mean.clone()]
    assert len(seen) == passes
    for statistic, of_batches in zip(statistics, zip(*seen, strict=True), strict=True):
        # Sums of 128 * 4 * 4 values in another order: n * eps / 2.
        torch.testing.assert_close(statistic, torch.stack(of_batches).mean(0), rtol=1.2e-4, atol=1e-6)
    assert (statistics[1] - untouched).abs().max() > 0.01
    assert torch.equal(raw.running_mean, untouched)
    assert torch.equal(torch.get_rng_state(), stream)
    torch.rand(1)
    assert made.evaluate() == found
    assert torch.equal(norm.running_mean, statistics[1])


def test_of_a_long_epoch_fifty_batches_give_the_average_its_statistics() -> None:
    made = trainer(recipe(binary(), ema=0.5, batch_size=16))
    made.enter(Position())
    assert made.batches > 50
    made.evaluate()
    assert made.result.get_submodule("blocks.1.norm").num_batches_tracked == 50


@pytest.mark.parametrize("overrides", [{"ema": 0.9}, {"mixup": 0.2}, {"cutmix": 1}, {"accumulate": 2}], ids=str)
def test_runs_with_every_extra_go_on_after_a_stop_as_if_nothing_had_happened(
    overrides: dict[str, Any], tmp_path: Path
) -> None:
    train(tmp_path / "whole", overrides=overrides)
    with pytest.raises(CutShortError):
        train(tmp_path / "parts", overrides=overrides, progress=At(27, cut_short), checkpoint_seconds=0.0)
    train(tmp_path / "parts", overrides=overrides, resume=True)
    whole, parts = state(tmp_path / "whole"), state(tmp_path / "parts")
    assert all(torch.equal(t, parts[n]) for n, t in whole.items())


def test_mixing_by_cutmix_puts_pixels_of_other_images_in_their_places_and_shares_the_targets() -> None:
    row = with_overrides(recipe(binary(), augmentation="none"), {"cutmix": "1"})
    made = trainer(row)
    images, labels = next(made.epoch(Position()))
    torch.manual_seed(0)
    x, targets = made._augmented(images, labels)
    pixels = made._prepare(images)
    assert (x != pixels).any()
    assert (x[:, None] == pixels[None]).all(2).any(1).all()
    assert ((targets > 0).sum(1) == 2).any()
    torch.testing.assert_close(targets.sum(1), torch.ones(128))


def test_overriding_an_optimizer_leaves_the_old_ones_options_behind() -> None:
    row = with_overrides(get_recipe("bop-cifar10"), {"binary_optimizer": "cema", "binary_options.alpha": "0.01"})
    assert row.stages[0].binary_options == {"alpha": 0.01}
    assert row.stages[0].binary_schedules == {}


@pytest.mark.slow
def test_a_compiled_network_trains_to_a_run_like_any_other(tmp_path: Path) -> None:
    # In a process of its own: torch's compiler warns of torch's own habits, which are errors here.
    code = f"from train.tiny import train; train({str(tmp_path / 'run')!r}, epochs=1, overrides={{'compile': True}})"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert state(tmp_path / "run").keys() == load_run(tmp_path / "run").model.state_dict().keys()
