"""The moving average of the weights. On the tiny network of tiny.py."""

from typing import Any

import pytest
import torch
from torch import nn

from bittern.train import Position
from bittern.train.evaluation import evaluate
from bittern.train.stages import enter_stage
from train.tiny import binary, context, recipe, steps


def test_the_average_of_the_weights_is_what_is_evaluated_and_kept() -> None:
    made = context(recipe(binary(), ema=0.5))
    stage, at = enter_stage(made, 0, None), Position()
    expected = {n: p.clone() for n, p in stage.model.named_parameters()}
    for index in range(3):
        steps(made, stage, 1, at)
        now = dict(stage.model.named_parameters())
        expected = {n: now[n].clone() if index == 0 else 0.5 * p + 0.5 * now[n] for n, p in expected.items()}
    for name, parameter in stage.result.named_parameters():
        torch.testing.assert_close(parameter, expected[name], msg=name)


@pytest.mark.parametrize(("extra", "passes"), [({}, 11), ({"mixup": 0.2}, 11), ({"accumulate": 2}, 22)], ids=str)
def test_the_average_is_evaluated_with_the_statistics_of_its_own_activations(
    extra: dict[str, Any], passes: int
) -> None:
    made = context(recipe(binary(), ema=0.5, **extra))
    stage = enter_stage(made, 0, None)
    steps(made, stage, 3)
    norm, raw = (model.get_submodule("blocks.1.norm") for model in (stage.result, stage.model))
    untouched, stream, seen = raw.running_mean.clone(), torch.get_rng_state(), []

    def look(module: nn.Module, inputs: tuple[torch.Tensor]) -> None:
        if module.training:
            seen.append(torch.var_mean(inputs[0], (0, 2, 3)))

    norm.register_forward_pre_hook(look)
    found = evaluate(made, stage)
    statistics = [norm.running_var.clone(), norm.running_mean.clone()]
    assert len(seen) == passes
    for statistic, of_batches in zip(statistics, zip(*seen, strict=True), strict=True):
        # Sums of 128 * 4 * 4 values in another order: n * eps / 2.
        torch.testing.assert_close(statistic, torch.stack(of_batches).mean(0), rtol=1.2e-4, atol=1e-6)
    assert (statistics[1] - untouched).abs().max() > 0.01
    assert torch.equal(raw.running_mean, untouched)
    assert torch.equal(torch.get_rng_state(), stream)
    torch.rand(1)
    assert evaluate(made, stage) == found
    assert torch.equal(norm.running_mean, statistics[1])


def test_of_a_long_epoch_fifty_batches_give_the_average_its_statistics() -> None:
    made = context(recipe(binary(), ema=0.5, batch_size=16))
    stage = enter_stage(made, 0, None)
    assert made.batches > 50
    evaluate(made, stage)
    assert stage.result.get_submodule("blocks.1.norm").num_batches_tracked == 50
