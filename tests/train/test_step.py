"""What a step can do besides: accumulate, mix images, compile. On the tiny network of tiny.py."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from bittern.train import Position, load_run, with_overrides
from bittern.train.stages import enter_stage
from bittern.train.step import augment
from train.tiny import At, CutShortError, binary, context, cut_short, recipe, same_weights, state, steps, train


def test_a_batch_in_parts_gives_the_gradient_of_the_whole() -> None:
    """Where BatchNorm sees parts alone the gradients differ; so it stands still here."""
    gradients = []
    for parts in (1, 4):
        made = context(recipe(binary(), accumulate=parts, augmentation="none"))
        stage = enter_stage(made, 0, None)
        for module in stage.model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum, module.training = 0.0, False
                module.train = lambda mode=True, module=module: module  # type: ignore[method-assign]
        steps(made, stage, 1)
        gradients.append({n: p.grad.clone() for n, p in stage.model.named_parameters() if p.grad is not None})
    for name, whole in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], whole, rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize("overrides", [{"ema": 0.9}, {"mixup": 0.2}, {"cutmix": 1}, {"accumulate": 2}], ids=str)
def test_runs_with_each_extra_are_resumed_bit_for_bit(overrides: dict[str, Any], tmp_path: Path) -> None:
    train(tmp_path / "whole", overrides=overrides)
    with pytest.raises(CutShortError):
        train(tmp_path / "parts", overrides=overrides, progress=At(27, cut_short), checkpoint_seconds=0.0)
    train(tmp_path / "parts", overrides=overrides, resume=True)
    assert same_weights(tmp_path / "whole", tmp_path / "parts")


def test_mixing_by_cutmix_puts_pixels_of_other_images_in_their_places_and_shares_the_targets() -> None:
    row = with_overrides(recipe(binary(), augmentation="none"), {"cutmix": "1"})
    made = context(row)
    images, labels = next(made.epoch(Position()))
    torch.manual_seed(0)
    x, targets = augment(made, images, labels)
    pixels = made.prepare(images)
    assert (x != pixels).any()
    assert (x[:, None] == pixels[None]).all(2).any(1).all()
    assert ((targets > 0).sum(1) == 2).any()
    torch.testing.assert_close(targets.sum(1), torch.ones(128))


@pytest.mark.slow
def test_a_compiled_network_trains_to_a_run_like_any_other(tmp_path: Path) -> None:
    # In its own process: torch's compiler raises deprecation warnings, which are errors here.
    code = f"from train.tiny import train; train({str(tmp_path / 'run')!r}, epochs=1, overrides={{'compile': True}})"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert state(tmp_path / "run").keys() == load_run(tmp_path / "run").model.state_dict().keys()
