import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save

from bittern.train import RunError, TrainingInterrupted, load_run
from bittern.train.runs import save_run
from train.tiny import At, train


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    """A copy of a finished run, free to be damaged."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


def edit_info(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    path = folder / "model.json"
    info = json.loads(path.read_bytes())
    change(info)
    path.write_text(json.dumps(info))


def edit_tensors(folder: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    """Writes other tensors as `bittern train` would, digest included."""
    run = load_run(folder)
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_run(folder, tensors, run.info)


def truncate(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


def test_the_model_comes_in_eval_mode_with_the_trained_weights(finished: Path) -> None:
    run = load_run(str(finished))
    assert not run.model.training
    assert run.folder == finished
    saved = load_file(finished / "model.safetensors")
    assert all(torch.equal(t, saved[name]) for name, t in run.model.state_dict().items())
    assert run.info.input_shape == (1, 8, 8)


def test_what_is_saved_is_what_is_read(folder: Path) -> None:
    run = load_run(folder)
    before = (folder / "model.json").read_bytes()
    save_run(folder, run.model.state_dict(), run.info)
    assert (folder / "model.json").read_bytes() == before


DAMAGE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no folder": (shutil.rmtree, "run folder .* does not exist"),
    "no info": (
        lambda f: ((f / "model.json").unlink(), shutil.rmtree(f / "checkpoint")),
        "has neither model.json nor a checkpoint",
    ),
    "info cut": (lambda f: truncate(f / "model.json", 300), r"model\.json is .*not JSON"),
    "info empty": (lambda f: truncate(f / "model.json", 0), r"model\.json is .*not JSON"),
    "info not text": (lambda f: (f / "model.json").write_bytes(b"\xff\xfe\x00"), r"model\.json is .*not JSON"),
    "info foreign": (lambda f: (f / "model.json").write_text('{"a": 1}'), "was not written by Bittern"),
    "info a list": (lambda f: (f / "model.json").write_text("[1]"), "was not written by Bittern"),
    "format newer": (lambda f: edit_info(f, lambda i: i.update(format=2)), "has format 2, .* up to 1; upgrade Bittern"),
    "field missing": (lambda f: edit_info(f, lambda i: i.pop("seed")), "field: .*seed"),
    "field garbled": (lambda f: edit_info(f, lambda i: i.update(input_shape=[1, 8])), "invalid field"),
    "model unknown": (
        lambda f: edit_info(f, lambda i: i.update(model="x")),
        "is of the model .x., which nobody has registered",
    ),
    "option unknown": (lambda f: edit_info(f, lambda i: i["options"].update(x=1)), "cannot be built: .*'x'"),
    "no tensors": (lambda f: (f / "model.safetensors").unlink(), r"model\.safetensors is missing"),
    "tensors cut": (lambda f: truncate(f / "model.safetensors", 5000), r"model\.safetensors is truncated"),
    "tensors empty": (lambda f: truncate(f / "model.safetensors", 0), r"model\.safetensors is truncated"),
    "tensors foreign": (
        lambda f: (f / "model.safetensors").write_bytes(b"PK\x03\x04" * 99),
        "or not a safetensors",
    ),
    "tensors of another run": (
        lambda f: (f / "model.safetensors").write_bytes(save({"a": torch.zeros(1)})),
        "not the file that model.json describes.*SHA-256",
    ),
    "tensor missing": (
        lambda f: edit_tensors(f, lambda t: (t.pop("classifier.bias"), t.pop("stem.0.weight"))),
        "does not hold the weights of 'digits-resnet': missing: stem.0.weight, classifier.bias$",
    ),
    "tensor unexpected": (lambda f: edit_tensors(f, lambda t: t.update(extra=torch.ones(1))), "unexpected: extra$"),
    "tensor mismatched": (
        lambda f: edit_tensors(f, lambda t: t.update({"classifier.bias": torch.ones(3)})),
        r"mismatched: classifier.bias is torch.float32 \(3,\), expected torch.float32 \(10,\)$",
    ),
    "tensor of another type": (
        lambda f: edit_tensors(f, lambda t: t.update({"classifier.bias": torch.ones(10).double()})),
        "mismatched: classifier.bias is torch.float64",
    ),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_or_foreign_folder_is_refused_with_the_reason(
    folder: Path, damage: Callable[[Path], Any], message: str
) -> None:
    damage(folder)
    with pytest.raises(RunError, match=message):
        load_run(folder)


def test_a_file_is_no_run_folder(finished: Path) -> None:
    with pytest.raises(RunError, match=r"model\.json is a file"):
        load_run(finished / "model.json")


def test_an_unfinished_run_is_refused_with_where_it_stands(tmp_path: Path) -> None:
    stop = At(3, lambda: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(TrainingInterrupted):
        train(tmp_path / "run", progress=stop)
    with pytest.raises(RunError, match=r"not finished \(it stopped at step 3 .*finish it with --resume"):
        load_run(tmp_path / "run")
