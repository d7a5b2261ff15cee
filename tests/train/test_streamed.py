"""Training on images that are read and decoded during training."""

import csv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from bittern.train import RunError, RunResult, Stage, load_run, run, runner
from bittern.train.ranks import Ranks
from bittern.train.recipe import Recipe
from data.image_files import write_folder, write_shards
from train.tiny import At, CutShortError, cut_short

RECIPE = Recipe(
    name="tiny-images",
    dataset="images",
    model="bi-real-net-cifar",
    stages=(Stage("train", "binary", epochs=2, lr=1e-3),),
    batch_size=8,
    augmentation="flip-lighting",
    image_size=16,
    model_options={"widths": (8, 8, 8), "depths": (1, 1, 1)},
    description="",
    source="",
    expected="",
)


def train(data: Path, out: Path, **arguments: Any) -> RunResult:
    return run(RECIPE, data, out, accelerator="cpu", workers=2, **arguments)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_folder(tmp_path / "data", {"train": 34, "test": 9})
    (tmp_path / "data" / "train" / "bee" / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n cut short")
    return tmp_path / "data"


def table(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_a_folder_of_images_is_trained_on_with_the_broken_one_named(folder: Path, tmp_path: Path) -> None:
    reporter = At()
    result = train(folder, tmp_path / "run", progress=reporter)
    assert result.info.class_names == ("ant", "bee", "cow")
    assert result.info.input_shape == (3, 16, 16)
    assert reporter.steps == list(range(1, 9))
    assert any("skipped 1 images that cannot be read: " in m and "cut.png" in m for m in reporter.messages)
    rows = table(tmp_path / "run" / "log.csv")
    assert rows[-1]["skipped"] == "1"
    assert all(0 <= float(row["waiting"]) <= 1 for row in rows)
    assert load_run(tmp_path / "run").model(torch.zeros(1, 3, 16, 16)).shape == (1, 3)


def test_all_images_that_cannot_be_read_are_listed_once_with_epoch_and_reason(folder: Path, tmp_path: Path) -> None:
    for number in range(7):
        (folder / "train" / "cow" / f"cut,{number}.png").write_bytes(b"cut short")
    (folder / "test" / "ant" / "empty.png").touch()
    reporter = At()
    train(folder, tmp_path / "whole", progress=reporter, epochs=4)
    rows, broken = (
        table(tmp_path / "whole" / "skipped.csv"),
        {"cut.png", "empty.png", *(f"cut,{n}.png" for n in range(7))},
    )
    assert {row["name"].rsplit("/")[-1] for row in rows} == broken
    assert len(rows) == len(broken)
    assert {row["stage"] for row in rows} == {"train"}
    assert [row["epoch"] for row in rows if row["name"] == "test/ant/empty.png"] == ["1"]
    assert all(row["reason"] for row in rows)
    assert any(" more in skipped.csv" in message for message in reporter.messages)

    with pytest.raises(CutShortError):
        train(folder, tmp_path / "parts", progress=At(8, cut_short), checkpoint_seconds=0.0, epochs=4)
    assert table(tmp_path / "parts" / "skipped.csv")
    train(folder, tmp_path / "parts", resume=True, epochs=4)
    assert sorted(map(str, table(tmp_path / "parts" / "skipped.csv"))) == sorted(map(str, rows))
    counts = [[row["skipped"] for row in table(tmp_path / name / "log.csv")] for name in ("whole", "parts")]
    assert counts[0] == counts[1]


def test_a_run_that_reads_everything_lists_nothing(tmp_path: Path) -> None:
    write_folder(tmp_path / "data", {"train": 16, "test": 3})
    train(tmp_path / "data", tmp_path / "run", epochs=1)
    assert not (tmp_path / "run" / "skipped.csv").exists()


def test_a_run_stopped_within_an_epoch_resumes_at_the_next_image(folder: Path, tmp_path: Path) -> None:
    train(folder, tmp_path / "whole")
    with pytest.raises(CutShortError):
        train(folder, tmp_path / "parts", progress=At(6, cut_short), checkpoint_seconds=0.0)
    train(folder, tmp_path / "parts", resume=True)
    whole, parts = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "parts"))
    assert all(torch.equal(t, parts[n]) for n, t in whole.items())


def move(folder: Path, source: str, target: str) -> None:
    (folder / target).parent.mkdir(exist_ok=True)
    (folder / source).rename(folder / target)


OTHER_DATA: dict[str, tuple[Callable[[Path], Any], str]] = {
    "more images": (
        lambda f: write_folder(f, {"train": 60, "test": 17}),
        "35 train images -> 61; 9 test images -> 17",
    ),
    "another class": (lambda f: move(f, "train/cow/00002.png", "train/dog/00002.png"), "3 classes -> 4"),
    "class renamed": (lambda f: [move(f, f"{s}/ant", f"{s}/at") for s in ("train", "test")], "class 'ant' -> 'at'; .*"),
    "image renamed": (
        lambda f: move(f, "test/bee/00001.png", "test/bee/00002.png"),
        "other names or labels of the test images",
    ),
}


@pytest.mark.parametrize(("change", "difference"), OTHER_DATA.values(), ids=OTHER_DATA)
def test_resuming_with_different_data_is_refused(
    change: Callable[[Path], Any], difference: str, folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(CutShortError):
        train(folder, tmp_path / "run", progress=At(2, cut_short), checkpoint_seconds=0.0)
    change(folder)
    with pytest.raises(RunError, match=rf"different data \({difference}.*\); resume"):
        train(folder, tmp_path / "run", resume=True)


def test_shards_are_trained_on_by_a_recipe_for_folders(tmp_path: Path) -> None:
    write_shards(tmp_path / "data", {"train": [10, 9], "test": [4]})
    shards = {"overrides": {"dataset": "image-shards"}}
    result = train(tmp_path / "data", tmp_path / "run", epochs=1, **shards)
    assert (result.info.dataset, result.info.settings["dataset"]) == ("image-shards", "image-shards")
    assert load_run(tmp_path / "run").info.dataset == "image-shards"
    assert 0 <= result.info.metrics["test_accuracy"] <= 1
    with pytest.raises(RunError, match=r"different settings \(dataset: image-shards -> images\); resume"):
        train(tmp_path / "data", tmp_path / "run", epochs=1, resume=True)


@pytest.mark.parametrize("dataset", ["images", "image-shards"])
def test_the_first_process_goes_ahead_where_it_leaves_an_index_for_the_others(
    dataset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(tmp_path / "data", {"train": 9, "test": 3})
    write_shards(tmp_path / "data", {"train": [9], "test": [3]})
    ahead = []

    @contextmanager
    def first_alone(self: Ranks) -> Iterator[None]:
        ahead.append(dataset)
        yield

    monkeypatch.setattr(Ranks, "first_alone", first_alone)
    monkeypatch.setattr(runner, "Context", lambda **_: cut_short())
    with pytest.raises(CutShortError):
        train(tmp_path / "data", tmp_path / "run", overrides={"dataset": dataset})
    assert bool(ahead) == bool(list((tmp_path / "data").glob(".bittern-index*")))
    assert bool(ahead) == (dataset == "image-shards")
