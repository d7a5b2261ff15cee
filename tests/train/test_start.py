"""The weights that a run starts from. On the tiny network of tiny.py."""

from pathlib import Path

import pytest
import torch

from bittern.train import RunError, TrainingError, checkpoint, run
from bittern.train.stages import enter_stage
from train.tiny import binary, context, recipe, state, train


def test_weights_that_a_stage_could_not_take_over_are_refused_with_their_names() -> None:
    made = context(recipe(binary()), start={"stem.0.weight": torch.zeros(3)})
    with pytest.raises(RunError, match=r"some would be lost: missing: stem\.1.*mismatched: stem\.0\.weight is"):
        enter_stage(made, 0, None)


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
    with pytest.raises(RunError, match=r"empty has neither model\.json nor a checkpoint"):
        run(recipe(binary()), None, tmp_path / "run", start=tmp_path / "empty")
