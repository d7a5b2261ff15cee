"""Stages that learn from a given network, or from that of the stage before. On the tiny network of tiny.py."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from bittern.data import Preprocessing, get_dataset, open_dataset
from bittern.models import create
from bittern.train import (
    Position,
    RunError,
    Stage,
    load_run,
    run,
    with_overrides,
)
from bittern.train.runs import RunInfo, save_run, versions
from bittern.train.stages import enter_stage
from train.tiny import At, CutShortError, binary, context, cut_short, recipe, same_weights, steps, train


def test_a_student_comes_closer_to_its_teacher_than_a_network_without_one(tmp_path: Path) -> None:
    teacher_run = train(tmp_path / "teacher", epochs=3)
    row = recipe(binary(epochs=3, teacher="given"), label_smoothing=0.0)
    student = run(row, None, tmp_path / "student", accelerator="cpu", teacher=teacher_run.folder)
    alone = run(recipe(binary(epochs=3)), None, tmp_path / "alone", accelerator="cpu")
    assert "teacher.sha256" in student.info.settings
    teacher, test = load_run(teacher_run.folder).model, open_dataset("digits").splits["test"].take(300)
    x = student.info.preprocessing(test.images)

    def divergence(folder: Path) -> float:
        with torch.no_grad():
            student = load_run(folder).model(x).log_softmax(1)
            return nn.functional.kl_div(student, teacher(x).softmax(1), reduction="batchmean").item()

    assert divergence(student.folder) < divergence(alone.folder)


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


def test_any_network_can_teach_and_resuming_with_another_is_refused(tmp_path: Path) -> None:
    class Teacher(nn.Module):
        def __init__(self, scale: float) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.tensor(scale))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.scale * x.flatten(1)[:, :10]

    row = recipe(binary(teacher="given", distillation=0.5))
    run(row, None, tmp_path / "run", accelerator="cpu", teacher=Teacher(2.0))
    with pytest.raises(RunError, match=r"different settings \(teacher.sha256"):
        run(row, None, tmp_path / "run", accelerator="cpu", teacher=Teacher(3.0), resume=True)


def test_a_teacher_is_required_by_recipes_with_one_and_refused_by_others(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="learns from a teacher; give its run folder"):
        run(recipe(binary(teacher="given")), None, tmp_path / "run")
    with pytest.raises(ValueError, match="'digits' does not use a teacher"):
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
    assert same_weights(tmp_path / "whole", tmp_path / "parts")


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
        enter_stage(context(row, teacher=nn.Flatten()), 0, None)


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
    made, active = context(row, teacher=Foreign()), None
    for stage in range(2):
        active = enter_stage(made, stage, active)
        steps(made, active, 1, Position(stage=stage))
        assert [maps.shape[1] for maps in active.student_features.maps] == [8, 8]
        assert [maps.shape[1] for maps in active.teacher_features.maps] == [[3, 5], [8, 8]][stage]


def test_a_stage_without_attention_asks_no_teacher_for_layers() -> None:
    row = recipe(binary(teacher="given"), attention_layers=("blocks.0",), teacher_attention_layers=("layer9",))
    enter_stage(context(row, teacher=Foreign()), 0, None)


def test_as_many_layers_of_the_teacher_as_of_the_student_are_compared() -> None:
    message = r"teacher_attention_layers must be .* as many as the 2 attention_layers, got \('layer1',\)"
    with pytest.raises(ValueError, match=message):
        recipe(binary(), attention_layers=("blocks.0", "blocks.1"), teacher_attention_layers=("layer1",))
