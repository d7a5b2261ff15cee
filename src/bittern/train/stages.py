"""A stage under way: the network, what trains it and what teaches it."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from bittern.models import create
from bittern.nn import SyncedBatchNorm, set_progress
from bittern.optim import HyperparameterScheduler
from bittern.optim.flips import FlipCounter, centred_weights
from bittern.train import weights
from bittern.train.context import Context
from bittern.train.losses import Features
from bittern.train.optimizers import binary_weights, build_optimizer
from bittern.train.recipe import Stage


@dataclass
class ActiveStage:
    """What changes while a stage trains.

    Attributes:
        model: the network itself; ``network`` is what computes its forward passes in training, which may be compiled
            and exchange gradients with other processes.
        average: the exponential moving average of ``model``, where the recipe asks for one.
        teacher: in eval mode, without gradients.
        student_features, teacher_features: what attention is compared at; empty in a stage without it.
    """

    settings: Stage
    model: nn.Module
    network: nn.Module
    optimizer: Optimizer
    schedulers: list[HyperparameterScheduler]
    average: AveragedModel | None
    teacher: nn.Module | None
    student_features: Features
    teacher_features: Features
    flips: FlipCounter

    @property
    def result(self) -> nn.Module:
        """The network to evaluate and to keep: the average, where there is one, as ``evaluate`` leaves it."""
        return self.model if self.average is None else self.average.module

    def set_progress(self, progress: float) -> None:
        """Sets the hyper-parameters of the step at ``progress`` in [0, 1] of the stage."""
        for scheduler in self.schedulers:
            scheduler.set_progress(progress)
        set_progress(self.model, progress)

    def close(self) -> None:
        """Takes its hooks off the networks, which the next stage may use."""
        self.student_features.close()
        self.teacher_features.close()


def enter_stage(context: Context, index: int, before: ActiveStage | None) -> ActiveStage:
    """Starts stage ``index`` from the weights of the one ``before`` or of another run, by name, or from random ones.

    Seeds torch's generators: the weights and the first process's augmentation are drawn from one stream, the
    augmentation of every other process from a stream of its own.
    """
    torch.manual_seed(context.derived_seed(index))
    start = context.start if index == 0 else None
    previous = None
    if before is not None:
        before.close()
        previous = before.result
        if context.recipe.stages[index].weights == "previous":
            start = previous.state_dict()
    stage = build_stage(context, index, start, previous)
    if context.ranks.rank:
        torch.manual_seed(context.derived_seed(index, context.ranks.rank))
    return stage


def build_stage(
    context: Context, index: int, start: Mapping[str, Tensor] | None, previous: nn.Module | None
) -> ActiveStage:
    """Stage ``index`` with the weights ``start``; ``previous`` is the network of the stage before.

    Raises:
        RunError: the weights do not fit the network.
        ValueError: the optimizers do not fit it, or a teacher lacks the modules to compare.
    """
    recipe, settings = context.recipe, context.recipe.stages[index]
    model = create_network(context, settings)
    if start is not None:
        weights.take_over(model, start, f"stage {settings.name!r}")
    if context.ranks.world > 1:
        SyncedBatchNorm.convert(model)
    network = context.ranks.parallel(model)
    if recipe.compile:
        network = torch.compile(network)  # type: ignore[assignment]
    optimizer, schedulers = build_optimizer(settings, model)
    teacher = {"none": None, "given": context.teacher, "previous": previous}[settings.teacher]
    if teacher is not None:
        teacher.eval().requires_grad_(False)
    student_layers = teacher_layers = recipe.attention_layers if settings.attention else ()
    if student_layers and settings.teacher == "given" and recipe.teacher_attention_layers:
        teacher_layers = recipe.teacher_attention_layers
    return ActiveStage(
        settings=settings,
        model=model,
        network=network,
        optimizer=optimizer,
        schedulers=schedulers,
        average=AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(recipe.ema)) if recipe.ema else None,
        teacher=teacher,
        student_features=Features(model, student_layers),
        teacher_features=Features(model if teacher is None else teacher, teacher_layers),
        flips=FlipCounter(binary_weights(model) if settings.precision == "binary" else [], centred_weights(model)),
    )


def create_network(context: Context, settings: Stage) -> nn.Module:
    """The network of a stage with random weights, on the device of the run, filters in channels_last memory."""
    model = create(context.recipe.model, **context.model_options(settings))
    device, dtype = context.ranks.device, context.weight_dtype
    return model.to(device, dtype, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def like_weights(x: Tensor, model: nn.Module) -> Tensor:
    """``x`` in the type of the weights of ``model``, if it has any."""
    return x.to(next(model.parameters(), x).dtype)
