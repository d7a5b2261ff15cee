"""What `run` leaves behind, and when it refuses to start. The helpers `train` and `At` are in tiny.py."""

import csv
import dataclasses
import json
import signal
import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.optim import Optimizer

from bittern.data import DataError, Dataset, Split, get_dataset, load, open_dataset
from bittern.train import Observer, Position, RunError, TrainingError, get_recipe, load_run, run
from bittern.train.ranks import Ranks
from bittern.train.stages import enter_stage
from data.hf_parquet import write_cifar10
from train.tiny import At, context, recipe, steps, train


def numbered_digits() -> Dataset:
    """The digits with numbers of their own as labels."""
    digits = open_dataset("digits")
    splits = {name: Split(s.images, torch.arange(len(s))) for name, s in load("digits").items()}
    return dataclasses.replace(digits, splits=splits)


def test_the_folder_holds_model_info_log_and_checkpoint(finished: Path) -> None:
    assert {p.name for p in finished.iterdir()} == {
        "model.safetensors", "model.json", "launch.json", "log.csv", "checkpoint", "tensorboard"
    }  # fmt: skip
    assert {p.suffix for p in (finished / "checkpoint").iterdir()} == {".json", ".safetensors"}
    assert len(list((finished / "checkpoint").iterdir())) == 2


def test_info_says_what_was_trained_and_how_well(finished: Path) -> None:
    info = json.loads((finished / "model.json").read_bytes())
    assert info["format"] == 1
    assert (info["model"], info["recipe"], info["dataset"], info["seed"]) == ("digits-resnet", "digits", "digits", 0)
    assert info["options"]["precision"] == "binary"
    assert info["options"]["widths"] == [8, 8]
    assert info["class_names"] == list("0123456789")
    assert info["input_shape"] == [1, 8, 8]
    assert info["preprocessing"] == get_dataset("digits").preprocessing.to_json()
    assert info["settings"]["step2.epochs"] == 2
    assert info["settings"]["batch_size"] == 128
    assert 0.1 < info["metrics"]["test_accuracy"] <= 1
    assert {"bittern", "torch", "python"} == set(info["versions"])


def test_the_accuracy_in_the_info_is_that_of_the_model_read_back(finished: Path) -> None:
    trained = load_run(finished)
    test = load("digits", splits=("test",))["test"]
    with torch.no_grad():
        predictions = trained.model(trained.info.preprocessing(test.images)).argmax(1)
    accuracy = (predictions == test.labels).double().mean().item()
    # Another memory layout rounds logits differently, which may break a tie the other way.
    assert accuracy == pytest.approx(trained.info.metrics["test_accuracy"], abs=1.5 / len(test))


def test_the_log_has_a_line_per_epoch_with_the_rate_falling_to_zero_in_each_stage(finished: Path) -> None:
    with open(finished / "log.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(r["stage"], r["epoch"], r["step"]) for r in rows] == [
        ("step1", "1", "11"), ("step1", "2", "22"), ("step2", "1", "33"), ("step2", "2", "44")
    ]  # fmt: skip
    lr = get_recipe("digits").stages[0].lr
    assert [float(r["lr"]) for r in rows] == pytest.approx([lr / 2, 0.0, lr / 2, 0.0])
    assert all(0 <= float(r["accuracy"]) <= 1 and 0 <= float(r["test_accuracy"]) <= 1 for r in rows)
    # 11 steps an epoch, whose seconds count the evaluation too.
    assert all(float(r["steps_per_second"]) >= 11 / float(r["seconds"]) * 0.99 for r in rows)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(finished: Path, tmp_path: Path) -> None:
    same = train(tmp_path / "same").folder
    other = train(tmp_path / "other", seed=1).folder
    weights = [(folder / "model.safetensors").read_bytes() for folder in (finished, same, other)]
    assert weights[0] == weights[1] != weights[2]


def test_the_random_streams_of_the_caller_are_left_alone(tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train(tmp_path / "run", epochs=1)
    assert torch.equal(torch.rand(3), expected)


def test_the_signal_handlers_of_the_caller_are_put_back(tmp_path: Path) -> None:
    before = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
    train(tmp_path / "run", epochs=1)
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_run_works_in_a_thread_where_signals_cannot_be_handled(tmp_path: Path) -> None:
    results = []
    thread = threading.Thread(target=lambda: results.append(train(tmp_path / "run", epochs=1)))
    thread.start()
    thread.join()
    assert results[0].info.metrics["test_accuracy"] > 0


def test_the_reporter_sees_every_step_and_every_epoch(tmp_path: Path) -> None:
    reporter = At()
    train(tmp_path / "run", epochs=1, progress=reporter)
    assert reporter.steps == list(range(1, 23))
    assert [row["stage"] for row in reporter.rows] == ["step1", "step2"]


def test_processes_agree_twice_a_step_on_stopping_and_on_the_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, reporter, agree = [], At(), Ranks.any
    monkeypatch.setattr(Ranks, "any", lambda self, *flags: asked.append(flags) or agree(self, *flags))
    train(tmp_path / "run", epochs=1, progress=reporter)
    assert len(asked) == 2 * len(reporter.steps)


def test_the_test_split_is_evaluated_as_often_as_the_recipe_says_and_at_the_end_of_each_stage(tmp_path: Path) -> None:
    reporter = At()
    train(tmp_path / "run", epochs=3, progress=reporter, overrides={"evaluate_every": 2})
    evaluated = [row["test_accuracy"] is not None for row in reporter.rows]
    assert evaluated == [False, True, True] * 2


@pytest.mark.parametrize("mixed_precision", ["bf16"])
def test_mixed_precision_trains_and_keeps_float32_weights(mixed_precision: str, tmp_path: Path) -> None:
    out = train(tmp_path / "run", epochs=1, overrides={"mixed_precision": mixed_precision}).folder
    tensors = load_file(out / "model.safetensors")
    assert {t.dtype for n, t in tensors.items() if not n.endswith("num_batches_tracked")} == {torch.float32}


def test_the_cifar_recipe_trains_on_a_folder_of_parquet_files(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    write_cifar10(tmp_path / "data", train=24, test=6)
    small = {"model.widths": "8,8,8", "model.depths": "1,1,1", "batch_size": 8}
    result = run("cifar10-quick", tmp_path / "data", tmp_path / "run", epochs=1, overrides=small, accelerator="cpu")
    assert result.info.input_shape == (3, 32, 32)
    assert result.info.class_names[0] == "airplane"
    assert load_run(tmp_path / "run").model(torch.zeros(1, 3, 32, 32)).shape == (1, 10)


def test_step_two_starts_from_the_weights_of_step_one() -> None:
    made = context(recipe())
    first = enter_stage(made, 0, None)
    steps(made, first, 1)
    before = {name: t.clone() for name, t in first.model.state_dict().items()}
    second = enter_stage(made, 1, first)
    assert second.model.blocks[0].conv.binarize_weight
    assert all(torch.equal(t, before[name]) for name, t in second.model.state_dict().items())


def test_every_epoch_has_its_own_order_with_each_image_once() -> None:
    made = context(recipe(), numbered_digits())
    orders = [
        torch.cat([labels for _, labels in made.epoch(Position(stage, epoch))]) for stage in (0, 1) for epoch in (0, 1)
    ]
    assert all(len(order.unique()) == len(order) == 11 * 128 for order in orders)
    assert len({tuple(order.tolist()) for order in orders}) == 4


def test_a_batch_larger_than_the_data_is_the_whole_data(tmp_path: Path) -> None:
    reporter = At()
    train(tmp_path / "run", epochs=1, progress=reporter, overrides={"batch_size": 5000})
    assert reporter.steps == [1, 2]


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(RunError, match=r"is not empty; choose another folder, or resume .* --resume"):
        train(tmp_path)
    with pytest.raises(RunError, match=r"notes\.txt is a file"):
        train(tmp_path / "notes.txt")


def test_a_negative_seed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="seed must be at least 0, got -1"):
        train(tmp_path / "run", seed=-1)


@pytest.mark.parametrize("accelerator", ["cuda", "tpu"])
def test_a_missing_or_unknown_accelerator_is_refused(accelerator: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(ValueError, match=rf"accelerator '{accelerator}' cannot be used \(.*\); try 'auto' or 'cpu'"):
        Ranks(accelerator)


def test_unusable_data_stops_the_run_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        run("cifar10-quick", tmp_path / "nowhere", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_loss_that_is_not_finite_stops_with_the_step_and_the_last_good_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"the loss is nan at step \d+ \(epoch 1 of step1\).*checkpoint: none"):
        train(tmp_path / "first", overrides={"step1.lr": 1e36})
    message = r"the loss is nan at step \d+ \(epoch 1 of step2\).*checkpoint: step 22 \(step1: 2 epochs"
    with pytest.raises(TrainingError, match=message):
        train(tmp_path / "second", overrides={"step2.lr": 1e36})


def test_a_divergence_in_double_precision_names_the_layer_too(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"the loss is nan at step \d+ .*diverged; the first output .* of layer '"):
        train(tmp_path / "run", overrides={"step1.lr": 1e300, "mixed_precision": "double"})


class SpoilGradient(Observer):
    """Makes a number of the gradient of the output of layer ``name`` NaN in step ``at``, counted from 1."""

    def __init__(self, name: str, at: int) -> None:
        self._name, self._at, self._step = name, at, 0

    def start(self, model: nn.Module, optimizer: Optimizer, folder: Path, at: Position) -> None:
        # In one of several processes the network is a part of another module.
        layer = next(m for name, m in model.named_modules() if name.endswith(self._name))
        layer.register_forward_hook(lambda module, inputs, output: self._forward(output))

    def _forward(self, output: torch.Tensor) -> None:
        if output.requires_grad:
            self._step += 1
            if self._step == self._at:
                output.register_hook(lambda gradient: gradient.index_fill(0, torch.tensor([0]), torch.nan))


@pytest.mark.parametrize(("step", "kept"), [(6, "none"), (25, r"step 22 \(step1: 2 epochs and 0 batches done\)")])
def test_a_gradient_that_is_not_finite_stops_at_its_step_with_the_layer_where_it_came_up(
    step: int, kept: str, tmp_path: Path
) -> None:
    where = rf"step {step} \(epoch 1 of step{1 + step // 22}\): training diverged"
    message = rf"gradient of 'blocks.0.conv.weight' is not finite \(with 7 others\) at {where}.*checkpoint: {kept}"
    with pytest.raises(TrainingError, match=message):
        train(tmp_path / "run", observers=[SpoilGradient("blocks.0.conv", step)])


class SpoilMomentum(Observer):
    """Makes a number of Bop's average of the gradients NaN after the last step of the second epoch."""

    def start(self, model: nn.Module, optimizer: Optimizer, folder: Path, at: Position) -> None:
        self._weight, self._optimizer = model.get_parameter("blocks.0.conv.weight"), optimizer

    def step(self, at: Position) -> None:
        if at.step == 21:
            self._optimizer.state[self._weight]["momentum"][0] = torch.nan


def test_a_state_of_the_optimizer_that_is_not_finite_is_no_checkpoint(tmp_path: Path) -> None:
    bop = {"step2.binary_optimizer": "bop", "step1.epochs": 1, "step2.epochs": 2}
    message = r"'optimizer.blocks.0.conv.weight.momentum' is not finite after step 22 \(step2\).*checkpoint: step 11 \("
    with pytest.raises(TrainingError, match=message):
        train(tmp_path / "run", epochs=None, overrides=bop, observers=[SpoilMomentum()])


class Spoil(Observer):
    """Makes a weight infinite after the last step of the second epoch, whose loss was finite."""

    def start(self, model: nn.Module, optimizer: Optimizer, folder: Path, at: Position) -> None:
        self._model = model

    @torch.no_grad()
    def step(self, at: Position) -> None:
        if at.step == 21:
            self._model.get_parameter("classifier.weight")[0, 0] = torch.inf


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_weights_that_are_not_finite_are_no_checkpoint_and_no_result(ema: float, tmp_path: Path) -> None:
    message = r"'model.classifier.weight' is not finite after step 22 \(step1\).*checkpoint: step 11 \(.*lower learning"
    with pytest.raises(TrainingError, match=message):
        train(tmp_path / "run", observers=[Spoil()], overrides={"ema": ema})
    assert not (tmp_path / "run" / "model.json").exists()
    reporter = At()
    train(tmp_path / "run", resume=True, progress=reporter, overrides={"ema": ema})
    assert reporter.steps[0] == 12
