"""Everything that the next step depends on, as named tensors: taken for a checkpoint, and put back from one."""

from collections.abc import Mapping

import torch
from torch import Tensor

from bittern._text import short_text
from bittern.train import weights
from bittern.train.checkpoint import Checkpoint
from bittern.train.context import Context
from bittern.train.errors import RunError
from bittern.train.means import EpochMeans
from bittern.train.position import Position
from bittern.train.stages import ActiveStage, build_stage, create_network


def collect(context: Context, stage: ActiveStage, means: EpochMeans) -> dict[str, Tensor]:
    """Everything that the next step depends on but the position, by flat name. All processes must call it together.

    What differs between processes is [processes, ...]; in one process that dimension is missing.
    """
    per_process = {"means": means.to_tensor(), **{f"random.{k}": v for k, v in _random_states(context).items()}}
    groups: dict[str, Mapping[str, Tensor]] = {
        "model": stage.model.state_dict(),
        "optimizer": weights.optimizer_tensors(stage.optimizer),
        "flips": {"state": torch.tensor(stage.flips.state())},
    }
    if stage.average is not None:
        groups["average"] = stage.average.state_dict()
    if stage.settings.teacher == "previous" and stage.teacher is not None:
        groups["teacher"] = stage.teacher.state_dict()
    shared = {f"{group}.{name}": tensor for group, tensors in groups.items() for name, tensor in tensors.items()}
    return {**shared, **{name: context.ranks.gather(tensor) for name, tensor in per_process.items()}}


def restore(context: Context, saved: Checkpoint) -> tuple[Position, ActiveStage, EpochMeans]:
    """Puts back what ``collect`` returned: the next step is the one that would have come. Sets torch's generators.

    RunError if the checkpoint is of another run, or was edited.
    """
    try:
        return _restore(context, saved)
    except (LookupError, RuntimeError, TypeError, ValueError) as error:  # torch's, of tensors that do not fit
        raise RunError(
            f"the checkpoint in {context.folder} does not fit this run ({short_text(str(error))}); start a new run in "
            "another folder"
        ) from error


def _restore(context: Context, saved: Checkpoint) -> tuple[Position, ActiveStage, EpochMeans]:
    at, ranks = Position.from_json(saved.state), context.ranks
    previous = None
    if context.recipe.stages[at.stage].teacher == "previous":
        previous = create_network(context, context.recipe.stages[at.stage - 1])
        previous.load_state_dict(saved.under("teacher"))
    stage = build_stage(context, at.stage, saved.under("model"), previous)
    weights.restore_optimizer(stage.optimizer, saved.under("optimizer"))
    if stage.average is not None:
        stage.average.load_state_dict(saved.under("average"))
    flips, updates = saved.tensors["flips.state"].tolist()
    stage.flips.restore((flips, updates))
    random = {name: ranks.mine(states) for name, states in saved.under("random").items()}
    torch.set_rng_state(random["cpu"])
    if "cuda" in random and torch.cuda.is_available():
        torch.cuda.set_rng_state(random["cuda"])
    return at, stage, EpochMeans.from_tensor(ranks.mine(saved.tensors["means"]))


def _random_states(context: Context) -> dict[str, Tensor]:
    states = {"cpu": torch.get_rng_state()}
    if context.ranks.device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state()
    return states
