"""The optimizers of a stage: which weights they take, and their schedules. On the tiny network of tiny.py."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from bittern.models import create
from bittern.nn import BinaryLinear
from bittern.optim import get_optimizer, list_optimizers
from bittern.train import (
    Position,
    get_recipe,
    load_run,
    run,
    with_overrides,
)
from bittern.train.optimizers import build_optimizer
from bittern.train.stages import enter_stage
from train.tiny import At, CutShortError, binary, context, cut_short, recipe, same_weights, state, steps

LATENT_FREE = [name for name in list_optimizers() if get_optimizer(name).latent_free]


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
def test_a_latent_free_optimizer_is_resumed_bit_for_bit(name: str, tmp_path: Path) -> None:
    def start(out: Path, **arguments: Any) -> Any:
        row = recipe(binary(binary_optimizer=name, epochs=2))
        return run(row, None, out, accelerator="cpu", **arguments)

    start(tmp_path / "whole")
    with pytest.raises(CutShortError):
        start(tmp_path / "parts", progress=At(14, cut_short), checkpoint_seconds=0.0)
    start(tmp_path / "parts", resume=True)
    assert same_weights(tmp_path / "whole", tmp_path / "parts")


def test_clipping_and_decay_apply_to_the_weights_that_they_are_for() -> None:
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
    made = context(recipe(stage))
    active, at, seen = enter_stage(made, 0, None), Position(), []
    for _ in range(made.batches):
        steps(made, active, 1, at)
        bop, adam = active.optimizer.param_groups[0], active.optimizer.param_groups[-1]
        seen.append((bop["gamma"], adam["lr"]))
    assert [gamma for gamma, _ in seen] == pytest.approx([1e-2 * (1 - i / 22) for i in range(11)])
    assert [lr for _, lr in seen] == pytest.approx([0.1 * i / 11 for i in range(11)])


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "latent-free for all": ({"optimizer": "bop"}, r"train.optimizer must be .*real weights.*got 'bop'"),
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
def test_an_impossible_stage_is_refused_when_it_is_made(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(binary(), **changes)


def test_weight_decay_is_refused_for_an_optimizer_that_has_none() -> None:
    with pytest.raises(ValueError, match=r"train.weight_decay must be 0 for bamsprod"):
        build_optimizer(binary(optimizer="bamsprod", weight_decay=1e-5), create("digits-resnet"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weight_estimator": "approx_sign"}, "weight_estimator 'approx_sign' of layer '1' passes no gradient"),
        ({"weight_transform": "balanced"}, "weight_transform 'balanced' of layer '1' would change"),
    ],
)
def test_layers_whose_weights_would_never_flip_are_refused(options: dict[str, str], message: str) -> None:
    model = nn.Sequential(nn.Linear(4, 4), BinaryLinear(4, 4, **options))
    with pytest.raises(ValueError, match=message):
        build_optimizer(binary(binary_optimizer="bop"), model)


def test_overriding_an_optimizer_leaves_the_old_ones_options_behind() -> None:
    row = with_overrides(get_recipe("bop-cifar10"), {"binary_optimizer": "cema", "binary_options.alpha": "0.01"})
    assert row.stages[0].binary_options == {"alpha": 0.01}
    assert row.stages[0].binary_schedules == {}
