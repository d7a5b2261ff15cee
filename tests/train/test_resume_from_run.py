"""A run is resumed, and its checkpoint used, by its folder alone."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from bittern.data import from_torch
from bittern.train import Observer, Position, RunError, load_run, read_launch, resume, run
from bittern.train.launch import read_modules

SMALL: dict[str, Any] = {
    "overrides": {"model.widths": (8, 8), "model.depths": (1, 1), "batch_size": 512, "lr": 0.003},
    "epochs": 2,
    "seed": 5,
}


class Interrupt(Observer):
    """Ends the run like a power cut, after some steps."""

    def __init__(self, steps: int) -> None:
        self._left = steps

    def step(self, at: Position) -> None:
        self._left -= 1
        if not self._left:
            raise KeyboardInterrupt


def interrupted(folder: Path, steps: int = 6, **arguments: Any) -> None:
    with pytest.raises(KeyboardInterrupt):
        run("digits", arguments.pop("data", None), folder, **{**SMALL, **arguments}, observers=[Interrupt(steps)])


def same(left: nn.Module, right: nn.Module) -> bool:
    pairs = zip(left.state_dict().values(), right.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("steps", [1, 6])  # before the first checkpoint, and after some
def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(steps: int, tmp_path: Path) -> None:
    run("digits", None, tmp_path / "whole", **SMALL)
    interrupted(tmp_path / "cut", steps)
    result = resume(tmp_path / "cut")
    assert (result.info.seed, result.info.settings["step1.lr"]) == (5, 0.003)
    assert same(load_run(tmp_path / "cut").model, load_run(tmp_path / "whole").model)


def test_a_launch_survives_its_file(tmp_path: Path) -> None:
    run("digits", None, tmp_path / "first", **SMALL)
    run("digits", None, tmp_path / "run", **SMALL, start=tmp_path / "first", modules=("mine",))
    launch = read_launch(tmp_path / "run")
    assert (launch.start, launch.modules, launch.data) == (str(tmp_path / "first"), ("mine",), None)
    assert launch.recipe.model_options["widths"] == (8, 8)
    launch.save(tmp_path / "again")
    assert read_launch(tmp_path / "again") == launch


def test_a_run_on_a_data_set_from_python_is_resumed_there(tmp_path: Path) -> None:
    images = [(torch.full((1, 8, 8), 20 * i, dtype=torch.uint8), i % 2) for i in range(8)]
    data = from_torch(images, images)
    interrupted(tmp_path, 3, data=data)
    with pytest.raises(
        RunError, match=r"with data of its own: resume it there, by bittern\.train\.resume\('.*', data="
    ):
        resume(tmp_path)
    assert resume(tmp_path, data=data).info.dataset == "own"


def test_the_network_of_a_checkpoint_is_read_before_the_run_is_finished(tmp_path: Path) -> None:
    interrupted(tmp_path, 7)
    with pytest.raises(RunError, match=r"not finished .*finish it with --resume .*or take .* with --checkpoint"):
        load_run(tmp_path)
    found = load_run(tmp_path, unfinished=True)
    assert found.info.options["precision"] == "binary"  # of the stage that it stopped in
    assert found.info.class_names == tuple("0123456789")
    assert found.model(torch.zeros(1, 1, 8, 8)).shape == (1, 10)
    assert 0 <= found.info.metrics["test_accuracy"] <= 1


DAMAGE: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "newer": (lambda v: {**v, "format": 99}, "is not of format 1"),
    "list": (lambda v: [v], "is not of format 1"),
    "no stages": (lambda v: {**v, "recipe": {**v["recipe"], "stages": 3}}, "cannot be used"),
    "unknown field": (lambda v: {**v, "speed": 3}, "cannot be used: .*speed"),
    "bad setting": (lambda v: {**v, "recipe": {**v["recipe"], "batch_size": 0}}, "batch_size must be at least 1"),
    "seed": (lambda v: {**v, "seed": "0"}, "cannot be used: .*seed must be an integer"),
    "data": (lambda v: {**v, "data": 5}, "cannot be used: .*data must be"),
    "modules": (lambda v: {**v, "modules": "os"}, "cannot be used: .*modules must be a list"),
    "no recipe": (lambda v: {k: x for k, x in v.items() if k != "recipe"}, "cannot be used"),
}


@pytest.mark.parametrize(("change", "message"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_launch_is_refused_with_the_way_out(
    change: Callable[[dict[str, Any]], Any], message: str, tmp_path: Path
) -> None:
    run("digits", None, tmp_path, **{**SMALL, "epochs": 1})
    path = tmp_path / "launch.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(RunError, match=message) as caught:
        resume(tmp_path)
    assert "beside --resume" in str(caught.value)


@pytest.mark.parametrize("read", [read_launch, read_modules])
def test_a_pipe_in_place_of_launch_is_refused_without_waiting_for_its_writer(
    read: Callable[[Path], object], tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "launch.json")
    with pytest.raises(RunError, match="this is a pipe"):
        read(tmp_path)


@pytest.mark.parametrize("content", ["[" * 100_000, "{", "\\ud800", '{"format": 1, "seed": "\\ud800"}'])
def test_what_is_no_json_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "launch.json").write_text(content)
    with pytest.raises(RunError, match=r"is not of format 1 .*is not JSON"):
        read_launch(tmp_path)


def test_a_folder_without_launch_says_what_to_give(tmp_path: Path) -> None:
    for read in (read_launch, read_modules):
        with pytest.raises(RunError, match=r"has no launch\.json.* beside --resume"):
            read(tmp_path)
        with pytest.raises(RunError, match="does not exist"):
            read(tmp_path / "nosuch")
