"""docs/own.md as printed: from a folder of images to a verified file and its accuracy, by commands alone."""

import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bittern.cli._app import COMMANDS as ALL
from bittern.models import registry as models
from bittern.runtime import load
from bittern.train import load_run, recipes
from cli.invoke import Outcome, bittern

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "own.md").read_text()
EXAMPLE = ROOT / "examples" / "own" / "mine.py"
(NETWORK, TORCH) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = [line.strip().partition("  #")[0] for line in PAGE.splitlines() if line.startswith("    bittern ")]
SHORTER = {
    "train": ("--epochs", "2", "--workers", "1"),
    "train images": ("--epochs", "1", "--workers", "1", "--set", "model.widths=8,8,8,8"),
    "bench": ("--rounds", "2"),
}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with photos and mine.py; what that registers is forgotten afterwards."""
    folder = tmp_path_factory.mktemp("own")
    generator = np.random.default_rng(0)
    for split, count in (("train", 16), ("test", 5)):
        for number, name in enumerate(("cat", "dog", "emu")):
            place = folder / "photos" / split / name
            place.mkdir(parents=True)
            for i in range(count):
                pixels = generator.integers(0, 90, (30 + i, 45, 3), np.uint8)
                pixels[..., number] += 120
                Image.fromarray(pixels).save(place / f"{i}.jpg")
    (folder / "mine.py").write_text(EXAMPLE.read_text())
    path, known = list(sys.path), (dict(models._MODELS), dict(recipes._RECIPES))
    yield folder
    sys.path[:] = path
    sys.modules.pop("mine", None)
    for registry, rows in zip((models._MODELS, recipes._RECIPES), known, strict=True):
        registry.clear()
        registry.update(rows)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def outcomes(own: Path) -> dict[str, Outcome]:
    """What every command of the page did, in their order."""
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(own)
        for command in COMMANDS:
            _, *arguments = shlex.split(command.replace("CLASS/IMAGE", "dog/3.jpg"))
            resumes = "--resume" in arguments
            extra = SHORTER.get(" ".join(arguments[:2]), SHORTER.get(arguments[0], ())) if not resumes else ()
            found[command] = bittern(*arguments, *extra)
    return found


def test_the_page_shows_the_example() -> None:
    assert NETWORK in EXAMPLE.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_page_works(command: str, outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes[command]
    assert outcome.code == 0, f"{command}: {outcome.err}"


@pytest.mark.slow
def test_the_accuracy_of_every_file_is_measured_on_the_own_test_images(own: Path, outcomes: dict[str, Outcome]) -> None:
    trained = load_run(own / "runs" / "photos").info.metrics["test_accuracy"]
    for file in ("photos.pte", "int8.pte", "large.pte"):
        result = bittern("run", own / file, "--data", own / "photos", "--json").json
        assert (result["data"], result["images"], result["skipped"]) == ("images", 15, 0)
        if file == "photos.pte":
            assert result["accuracy"] == pytest.approx(trained)
    assert load(own / "large.pte").metadata.input_shape == (1, 3, 48, 48)
    assert (
        "passed: 15 of 15 predictions are equal" in outcomes["bittern verify runs/photos large.pte --import mine"].out
    )


@pytest.mark.slow
def test_another_order_of_classes_is_no_obstacle_and_other_classes_are_named(own: Path, tmp_path: Path) -> None:
    for split in ("train", "test"):
        for old, new in (("dog", "dog"), ("emu", "emu")):
            (tmp_path / split).mkdir(exist_ok=True)
            (tmp_path / split / new).symlink_to(own / "photos" / split / old)
    whole = bittern("run", own / "photos.pte", "--data", own / "photos", "--json").json
    part = bittern("run", own / "photos.pte", "--data", tmp_path, "--json").json
    assert part["images"] == 10
    assert whole["right"] - 5 <= part["right"] <= whole["right"]
    for split in ("train", "test"):
        (tmp_path / split / "emu").rename(tmp_path / split / "fox")
    outcome = bittern("run", own / "photos.pte", "--data", tmp_path)
    assert outcome.code == 2
    assert "has classes that mine does not have: fox; it has cat, dog, emu" in outcome.error


@pytest.mark.slow
def test_what_a_module_registers_must_be_imported_but_by_resume(
    own: Path, outcomes: dict[str, Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    del models._MODELS["mine"], recipes._RECIPES["mine"], sys.modules["mine"]
    outcome = bittern("export", own / "runs" / "photos", own / "x.pte")
    assert outcome.code == 2
    assert "is of the model 'mine'" in outcome.error
    assert "--import MODULE" in outcome.error
    outcome = bittern("train", "mine", "--data", own / "photos", "--out", own / "runs" / "other")
    assert outcome.code == 2
    assert "unknown recipe 'mine'" in outcome.error
    monkeypatch.chdir(own)
    assert bittern("train", "--resume", own / "runs" / "photos").code == 0
    assert "mine" in models._MODELS


@pytest.mark.parametrize("command", [name for name, *_ in ALL])
def test_every_command_imports_modules(command: str) -> None:
    assert "--import" in bittern(command, "--help").out


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ("nosuch", "there is no module nosuch: go to the folder of nosuch.py, or install it"),
        ("own/mine.py", "takes the name of a module, such as mine, got own/mine.py"),
        ("broken", "importing broken failed: ZeroDivisionError: division by zero"),
    ],
)
def test_a_module_that_cannot_be_imported_is_code_2(
    module: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "broken.py").write_text("1 / 0")
    for command in (["models"], ["recipes"], ["run", "x.pte", "x.jpg"]):
        outcome = bittern(*command, "--import", module)
        assert outcome.code == 2
        assert message in outcome.error


def test_a_torch_data_set_trains_as_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(TORCH, {})
    info = load_run(tmp_path / "runs" / "torch").info
    assert (info.dataset, info.class_names, info.model) == ("own", ("cat", "dog"), "cifar-resnet")
